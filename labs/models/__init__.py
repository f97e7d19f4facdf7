from .cluster import Cluster, MachineSnapshot
from .event import Event, Verb
from .instance import Instance, InstanceCluster, Policy
from .quota import Quota, Scope
from .template import ServiceTemplate
from .workload import EndReason, Lab, State, Workload

__all__ = [
    "Cluster",
    "EndReason",
    "Event",
    "Instance",
    "InstanceCluster",
    "Lab",
    "MachineSnapshot",
    "Policy",
    "Quota",
    "Scope",
    "ServiceTemplate",
    "State",
    "Verb",
    "Workload",
]
