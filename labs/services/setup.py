"""What every data base of the site holds from the start and after each upgrade: the built-in services, the schedule of the sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.utils import DatabaseError
from django_q.models import Schedule

import k8s
from labs.models import Instance, ServiceTemplate
from labs.models.reconciled import changed

BUILT_IN = Path(k8s.__file__).parent / "services"
#: What the queue runs once a minute, by the name of the schedule.
EACH_MINUTE = {"sweep": "labs.tasks.run_sweep", "mails": "accounts.tasks.send_mails"}


def load_services(folder: Path = BUILT_IN) -> None:
    """Bring the built-in services into the data base; a new version takes the place of the older in every instance that offers it."""
    for path in sorted(folder.glob("*.json")):
        load_service(json.loads(path.read_text()))


@transaction.atomic
def load_service(data: dict[str, Any]) -> ServiceTemplate:
    """One service. The same version with other content counts as a mistake of the developer's and is written over."""
    fields = {
        "kind": data["kind"],
        "title": data["title"],
        "description": data.get("description", ""),
        "parameters": data["parameters"],
        "objects_json": data["objects"],
    }
    older = ServiceTemplate.objects.filter(slug=data["slug"], is_current=True).exclude(version=data["version"])
    offering = list(Instance.objects.filter(services__in=older))
    older.update(is_current=False)
    template, _ = ServiceTemplate.objects.update_or_create(
        slug=data["slug"], version=data["version"], defaults={**fields, "is_current": True}
    )
    for instance in offering:
        instance.services.add(template)
    return template


def provision_again() -> None:
    """An upgrade may have changed what stands around the labs of every instance, such as what they may reach: the sweep applies it."""
    Instance.objects.filter(removed_at=None).update(**changed())


def schedule_sweep() -> None:
    """One schedule of each, whatever happened before."""
    often = {"schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1}
    try:
        for name, task in EACH_MINUTE.items():
            Schedule.objects.update_or_create(name=name, defaults={"func": task, **often})
    except DatabaseError:
        return  # The queue's tables are not there yet: this is called again after their migration.
