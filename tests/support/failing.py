"""Services that cannot run, each in its own way; made from the JupyterLab by changing one thing. Imported by the site's shell."""

from __future__ import annotations

import copy
from typing import Any

from labs.models import Instance, ServiceTemplate

IMAGES = {"image": "example/missing:1", "crash": "busybox:1.36", "memory": "python:3.11"}
COMMANDS = {
    "crash": ["sh", "-c", "echo no such notebook >&2; exit 3"],
    "memory": ["python3", "-c", "import time; data = [bytearray(64 << 20) for _ in range(64)]; time.sleep(60)"],
}


def make() -> None:
    """One service a way to fail, offered by the demo's course."""
    original = ServiceTemplate.objects.get(slug="jupyterlab", is_current=True)
    instance = Instance.objects.get(slug="physics-250")
    for way, image in IMAGES.items():
        parameters: list[dict[str, Any]] = copy.deepcopy(original.parameters)
        for item in parameters:
            if item["name"] == "image":
                item.update(default=image, choices=[{"value": image, "label": way, "help": "", "gpu": False}])
        objects = copy.deepcopy(original.objects_json)
        container = next(item for item in objects if item["kind"] == "Pod")["spec"]["containers"][0]
        if way in COMMANDS:
            container.pop("args", None)
            container["command"] = COMMANDS[way]
        template = ServiceTemplate.objects.create(
            slug=f"fails-{way}", title=f"Fails: {way}", kind="lab", parameters=parameters, objects_json=objects
        )
        instance.services.add(template)


make()
