"""Addresses of the pages about people, beside those of allauth."""

from django.urls import path

from .views import addresses, invitation, notices, people, presence, profile, roster

urlpatterns = [
    # Before allauth's page at the same address.
    path("accounts/email/", addresses.addresses, name="account_email"),
    path("profile/", profile.profile, name="profile"),
    path("profile/data/", profile.data, name="profile-data"),
    path("profile/delete/", profile.delete, name="profile-delete"),
    path("profile/sign-out-everywhere/", profile.sign_out_everywhere, name="sign-out-everywhere"),
    path("profile/again/", presence.again, name="sign-in-again"),
    path("i/<slug:slug>/people/", people.index, name="people"),
    path("i/<slug:slug>/people/change/", people.change, name="people-change"),
    path("i/<slug:slug>/people/roster.csv", people.roster_csv, name="roster-csv"),
    path("i/<slug:slug>/people/roster.xlsx", people.roster_xlsx, name="roster-xlsx"),
    path("i/<slug:slug>/people/members.csv", people.members_csv, name="members-csv"),
    path("i/<slug:slug>/people/import/", roster.upload, name="roster-import"),
    path("i/<slug:slug>/people/import/<uuid:pk>/", roster.preview, name="roster-preview"),
    path("join/", invitation.remembered, name="invitation-remembered"),
    path("join/<str:token>/", invitation.invitation, name="invitation"),
    path("anymail/mailgun/tracking/", notices.mailgun, name="mailgun-notices"),
]
