from .class_run import ClassRun, ClassSeat, SavedLaunch, SeatState
from .cluster import Cluster, MachineSnapshot
from .event import Event, Verb
from .host import Host
from .instance import Instance, InstanceCluster, Policy
from .quota import Quota, Scope
from .template import ServiceTemplate
from .workload import EndReason, Lab, State, Workload

__all__ = [
    "ClassRun",
    "ClassSeat",
    "Cluster",
    "EndReason",
    "Event",
    "Host",
    "Instance",
    "InstanceCluster",
    "Lab",
    "MachineSnapshot",
    "Policy",
    "Quota",
    "SavedLaunch",
    "Scope",
    "SeatState",
    "ServiceTemplate",
    "State",
    "Verb",
    "Workload",
]
