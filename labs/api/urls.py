"""Addresses of the JSON interface."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from . import views

urlpatterns = [
    path("instances/", views.InstancesView.as_view(), name="api-instances"),
    path("labs/", views.LabsView.as_view(), name="api-labs"),
    path("labs/<uuid:pk>/", views.LabView.as_view(), name="api-lab"),
    path("labs/<uuid:pk>/stop/", views.StopView.as_view(), name="api-lab-stop"),
    path("labs/<uuid:pk>/extend/", views.ExtendView.as_view(), name="api-lab-extend"),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
]
