"""Thin wires from saved rows to the queue. Handlers are at most five lines."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connections
from django.db.models.signals import post_delete, post_migrate, post_save

from .models import Instance, InstanceCluster, Lab, Quota, Scope
from .rules.queue import ring
from .services import seal, setup
from .services.instances import touch


def workload_saved(sender: Any, instance: Lab, **kwargs: Any) -> None:
    if not instance.is_settled:
        ring([instance.pk])


def instance_saved(sender: Any, instance: Instance, **kwargs: Any) -> None:
    touch(instance.pk)


def limits_changed(sender: Any, instance: Quota, **kwargs: Any) -> None:
    if instance.scope == Scope.INSTANCE:
        touch(instance.instance_id)


def places_changed(sender: Any, instance: InstanceCluster, **kwargs: Any) -> None:
    touch(instance.instance_id)


def after_migrate(sender: Any, **kwargs: Any) -> None:
    setup.load_services()
    setup.schedule_sweep()
    setup.provision_again()
    seal.seal(connections[kwargs["using"]])


def connect() -> None:
    post_save.connect(workload_saved, sender=Lab)
    post_save.connect(instance_saved, sender=Instance)
    post_save.connect(limits_changed, sender=Quota)
    post_delete.connect(limits_changed, sender=Quota)
    post_save.connect(places_changed, sender=InstanceCluster)
    post_migrate.connect(after_migrate, sender=apps.get_app_config("labs"))
