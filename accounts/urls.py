"""Addresses of the pages about people, beside those of allauth."""

from django.urls import path

from .views import profile

urlpatterns = [
    path("profile/", profile.profile, name="profile"),
]
