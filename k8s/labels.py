"""The labels by which the site knows its own objects on a cluster."""

SITE = "mlsite/site"
INSTANCE = "mlsite/instance"
WORKLOAD = "mlsite/workload"
#: Unix time in seconds after which the workload may be removed; on the pod, so that the cluster alone can enforce it.
EXPIRES = "mlsite/expires"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "mlsite"


def selector(site: str) -> str:
    """The label selector for all workload objects of the site with this id."""
    return f"{MANAGED_BY}={MANAGER},{SITE}={site},{WORKLOAD}"
