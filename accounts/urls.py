"""Addresses of the pages about people, beside those of allauth."""

from django.urls import path

from .views import notices, presence, profile

urlpatterns = [
    path("profile/", profile.profile, name="profile"),
    path("profile/data/", profile.data, name="profile-data"),
    path("profile/delete/", profile.delete, name="profile-delete"),
    path("profile/sign-out-everywhere/", profile.sign_out_everywhere, name="sign-out-everywhere"),
    path("profile/again/", presence.again, name="sign-in-again"),
    path("anymail/mailgun/tracking/", notices.mailgun, name="mailgun-notices"),
]
