from .cluster import Cluster
from .event import Event, Verb
from .instance import Instance, Policy
from .quota import Quota, Scope
from .template import ServiceTemplate
from .workload import EndReason, Lab, State, Workload

__all__ = [
    "Cluster",
    "EndReason",
    "Event",
    "Instance",
    "Lab",
    "Policy",
    "Quota",
    "Scope",
    "ServiceTemplate",
    "State",
    "Verb",
    "Workload",
]
