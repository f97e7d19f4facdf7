"""Addresses of the whole site."""

from django.contrib import admin
from django.urls import include, path

from . import views

handler500 = "mlsite.views.server_error"
urlpatterns = [
    path("", views.home, name="home"),
    path("about/", views.about, name="about"),
    path("healthz", views.healthz, name="healthz"),
    path("", include("accounts.urls")),
    path("", include("labs.urls")),
    path("api/", include("labs.api.urls")),
    path("accounts/", include("allauth.urls")),
    path("console/", admin.site.urls),
]
