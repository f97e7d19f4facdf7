"""Addresses of the pages about people, beside those of allauth."""

from django.urls import path

from .views import notices, profile

urlpatterns = [
    path("profile/", profile.profile, name="profile"),
    path("anymail/mailgun/tracking/", notices.mailgun, name="mailgun-notices"),
]
