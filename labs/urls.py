"""Addresses of the pages of labs and instances."""

from django.urls import path

from .views import classes, instance, lab, launch, lists

urlpatterns = [
    path("i/<slug:slug>/", instance.instance, name="instance"),
    path("i/<slug:slug>/theme.css", instance.theme, name="instance-theme"),
    path("i/<slug:slug>/access/", instance.ask, name="request-access"),
    path("i/<slug:slug>/leave/", instance.leave, name="leave"),
    path("i/<slug:slug>/seen/", instance.seen, name="seen"),
    path("i/<slug:slug>/launch/<slug:service>/", launch.launch, name="launch"),
    path("i/<slug:slug>/launch/<slug:service>/name/", launch.check_name, name="launch-name"),
    path("i/<slug:slug>/launch/<slug:service>/limits/", launch.meters, name="launch-meters"),
    path("i/<slug:slug>/people/labs/", classes.index, name="classes"),
    path("i/<slug:slug>/people/labs/new/<slug:service>/", classes.prepare, name="class-prepare"),
    path("i/<slug:slug>/people/labs/<int:pk>/start/", classes.start, name="class-start"),
    path("i/<slug:slug>/people/labs/<int:pk>/stop/", classes.stop, name="class-stop"),
    path("i/<slug:slug>/people/labs/<int:pk>/remove/", classes.remove, name="class-remove"),
    path("i/<slug:slug>/people/labs/runs/<uuid:pk>/", classes.run, name="class-run"),
    path("labs/", lists.labs, name="labs"),
    path("labs/changes/", lists.changes, name="labs-changes"),
    path("labs/history/", lists.history, name="history"),
    path("labs/<uuid:pk>/", lab.lab, name="lab"),
    path("labs/<uuid:pk>/live/", lab.live, name="lab-live"),
    path("labs/<uuid:pk>/log/", lab.log, name="lab-log"),
    path("labs/<uuid:pk>/stop/", lab.stop, name="lab-stop"),
    path("labs/<uuid:pk>/extend/", lab.extend, name="lab-extend"),
    path("labs/<uuid:pk>/token/", lab.token, name="lab-token"),
]
