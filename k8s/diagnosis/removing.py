"""Pure: why something that was deleted is still there."""

from datetime import datetime, timedelta
from typing import Any

from k8s.diagnosis.facts import parse_time
from k8s.diagnosis.says import LONGEST_LINE, Diagnosis

#: So long after its time to end in peace a pod may still be there.
PATIENCE = timedelta(minutes=2)
_TITLE = "The lab has stopped, but cannot be removed yet"
_NEXT = "No action needed. The lab counts against the limits until it is removed. If you need the room, tell the staff."


def removal(pod: dict[str, Any], *, now: datetime) -> Diagnosis | None:
    """What keeps a pod that is being deleted; None while that is in time. `technical` says what the operators of the cluster can do."""
    metadata = pod["metadata"]
    due = parse_time(metadata.get("deletionTimestamp"))
    if due is None or now < due + PATIENCE:
        return None
    name, since = f"{metadata.get('namespace')}/{metadata.get('name')}", due.isoformat()
    pod_words = f"pod {metadata.get('name')} -n {metadata.get('namespace')}"
    if holders := ", ".join(map(str, metadata.get("finalizers") or [])):
        text = "Another program on the cluster has not released it."
        line = (
            f"Pod {name} is held by its finalizers: {holders}. The program that set them must remove them. If that program is no "
            f'longer there: kubectl patch {pod_words} --type=merge -p \'{{"metadata":{{"finalizers":null}}}}\''
        )
        return Diagnosis("held-by-others", _TITLE, text, _NEXT, False, line[:LONGEST_LINE], since)
    text = "Its machine has not confirmed that the lab has ended. The machine may be switched off."
    node = (pod.get("spec") or {}).get("nodeName") or "none"
    line = (
        f"The machine {node} has not confirmed the end of pod {name}. If the machine is off for good: "
        f"kubectl delete node {node}, or kubectl delete {pod_words} --grace-period=0 --force"
    )
    return Diagnosis("end-unconfirmed", _TITLE, text, _NEXT, False, line[:LONGEST_LINE], since)
