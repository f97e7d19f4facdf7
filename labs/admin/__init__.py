"""The console's pages about instances and what runs in them."""

from . import clusters, events, instances, labs, limits, queue, services

__all__ = ["clusters", "events", "instances", "labs", "limits", "queue", "services"]
