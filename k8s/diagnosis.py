"""Pure: why a lab does not run, in words for the people who use it.

One table of rules, RULES: the first that finds something speaks. Their words know nothing of Kubernetes; they say what
happened, and what to do next.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from k8s import starting, words
from k8s.errors import Refused
from k8s.pod_facts import Facts, facts, parse_time
from k8s.refusals import explain_refusal
from k8s.starting import Step
from k8s.words import Diagnosis

__all__ = ["RULES", "Diagnosis", "Step", "diagnose", "steps"]

#: Seconds after which a phase of the start is worth a word.
SLOW_PLACEMENT, SLOW_PULL, SLOW_VOLUME, SLOW_ANSWER = 30, 60, 30, 120
#: Seconds for which a restart that went well is still told of.
RESTART_TOLD = 1800
#: Restarts after which a lab that had worked is given up.
TOO_MANY_RESTARTS = 5


def diagnose(
    pod: dict[str, Any] | None,
    events: list[dict[str, Any]],
    *,
    refusal: Refused | None = None,
    now: datetime,
    was_ready: bool | None = None,
) -> Diagnosis | None:
    """What is wrong with a workload; None if nothing is.

    `events`: of the API, or lines {"at", "reason", "message"} kept of them. `refusal`: what the cluster answered when the
    pod was sent. `was_ready`: whether it has ever answered; None: seen from the pod. Diagnosis.fatal means that waiting
    will not help.
    """
    if refusal is not None:
        return explain_refusal(refusal)
    if pod is None:
        return None
    known = facts(pod, events, now, was_ready)
    return next((found for rule in RULES if (found := rule(known))), None)


def steps(
    pod: dict[str, Any] | None, events: list[dict[str, Any]], *, accepted_at: datetime, now: datetime
) -> list[Step]:
    """How far the start has got: Accepted, Placed on a machine, (Copying the repository,) Fetching, Starting, Answering."""
    return starting.steps(facts(pod or {}, events, now), accepted_at, diagnose(pod, events, now=now))


def _over(known: Facts) -> Diagnosis | None:
    """The pod as a whole has ended."""
    if known.phase == "Succeeded":
        return words.SHUT_DOWN
    if known.phase != "Failed":
        return None
    reason, message = str(known.status.get("reason") or ""), str(known.status.get("message") or "")
    disruption = known.condition("DisruptionTarget")
    if reason == "Evicted" or disruption.get("reason") == "TerminationByKubelet":
        return words.evicted(message or str(disruption.get("message") or ""))
    if reason == "DeadlineExceeded":
        return words.DEADLINE
    if reason.startswith("OutOf"):
        return words.MACHINE_FULL
    if reason in ("NodeLost", "NodeShutdown", "Shutdown", "Terminated", "NodeAffinity") or disruption:
        return words.MACHINE_GONE
    return None


def _machine_lost(known: Facts) -> Diagnosis | None:
    """Nothing has been heard from its machine; the node controller has said so."""
    lost = known.status.get("reason") == "NodeLost" or known.phase == "Unknown"
    said = known.said("NodeNotReady", "TaintManagerEviction")
    if lost or (said and not known.is_ready and known.main.has_started and known.since(said.at) < 900):
        return words.MACHINE_SILENT
    return None


def _unschedulable(known: Facts) -> Diagnosis | None:
    condition = known.condition("PodScheduled")
    if condition.get("status") == "False" and condition.get("reason") == "Unschedulable":
        return words.no_place(str(condition.get("message") or ""), known.request)
    return None


def _not_placed(known: Facts) -> Diagnosis | None:
    created = parse_time((known.pod.get("metadata") or {}).get("creationTimestamp"))
    waiting = known.phase in ("", "Pending") and known.condition("PodScheduled").get("status") != "True"
    return words.NOT_PLACED if waiting and known.since(created) > SLOW_PLACEMENT else None


def _image(known: Facts) -> Diagnosis | None:
    reasons = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    for container in known.containers:
        reason = container.waiting.get("reason")
        if reason in reasons:
            failed = known.said("Failed") if reason == "ImagePullBackOff" else None
            pulled = next((e for e in reversed(known.events) if e.message.startswith("Failed to pull image")), failed)
            text = f"{reason} {container.waiting.get('message') or ''} {pulled.message if pulled else ''}"
            return words.image_trouble(text, container.image, is_tool=container.is_init)
    return None


def _slow_image(known: Facts) -> Diagnosis | None:
    waiting = next((item for item in known.containers if item.waiting), None)
    pulling, pulled = known.said("Pulling"), known.said("Pulled", "Failed")
    if waiting is None or pulling is None or (pulled and pulled.at and pulling.at and pulled.at >= pulling.at):
        return None
    return words.slow_image(waiting.image) if known.since(pulling.at) > SLOW_PULL else None


def _clone(known: Facts) -> Diagnosis | None:
    """The first failures may be the network's: between the second and the third lies a pause of ten seconds."""
    container = next((item for item in known.containers if item.is_init), None)
    code = container.ended.get("exitCode") if container else None
    if container is None or not code:
        return None
    if container.ended.get("reason") == "OOMKilled":
        return words.clone_out_of_memory(container.memory_mib)
    final = known.phase == "Failed" or (container.restarts > 1 and container.running_since is None)
    return words.clone_failed(code, final=final)


def _cannot_begin(known: Facts) -> Diagnosis | None:
    """The program never ran at all."""
    for container in known.containers:
        reason, message = container.waiting.get("reason"), str(container.waiting.get("message") or "")
        ended = container.ended.get("reason")
        if reason in ("CreateContainerConfigError", "CreateContainerError"):
            return words.bad_setting(message)
        if reason == "RunContainerError" or ended in ("StartError", "ContainerCannotRun"):
            return words.no_program(f"{container.ended.get('message') or ''} {message}")
    return None


def _crashed_at_start(known: Facts) -> Diagnosis | None:
    """It ended before it had ever answered: the same will happen again."""
    container = known.main
    if not container.ended or known.was_ready:
        return None
    code = int(container.ended.get("exitCode") or 0)
    if container.ended.get("reason") == "OOMKilled":
        return words.out_of_memory_at_start(container.memory_mib)
    return words.crashed_at_start(code) if code or known.phase == "Failed" else None


def _restarted(known: Facts) -> Diagnosis | None:
    """It had worked, ended, and was (or is being) started again."""
    container = known.main
    if not container.ended or not known.was_ready:
        return None
    code = int(container.ended.get("exitCode") or 0)
    out_of_memory = container.ended.get("reason") == "OOMKilled"
    failing = container.restarts >= TOO_MANY_RESTARTS and container.waiting.get("reason") == "CrashLoopBackOff"
    if failing or known.phase == "Failed":
        return words.keeps_crashing(code, out_of_memory, container.memory_mib)
    recent = known.since(parse_time(container.ended.get("finishedAt"))) < RESTART_TOLD
    if recent or not known.is_ready:
        return words.restarted(code, out_of_memory, container.memory_mib, again=known.is_ready)
    return None


def _volume(known: Facts) -> Diagnosis | None:
    said = known.said("FailedMount", "FailedAttachVolume", "ProvisioningFailed")
    if said is None or any(item.has_started for item in known.containers) or known.since(said.at) > 600:
        return None
    return words.storage_missing(said.message)


def _machine_trouble(known: Facts) -> Diagnosis | None:
    said = known.said("FailedCreatePodSandBox", "NetworkNotReady")
    started = any(item.has_started for item in known.containers)
    return words.MACHINE_TROUBLE if said and not started and known.since(said.at) < 300 else None


def _slow_answer(known: Facts) -> Diagnosis | None:
    since = known.main.running_since
    if known.is_ready or since is None or known.main.ended:
        return None
    if known.was_ready:
        return words.STOPPED_ANSWERING
    return words.slow_answer(int(known.since(since) // 60)) if known.since(since) > SLOW_ANSWER else None


RULES: tuple[Callable[[Facts], Diagnosis | None], ...] = (
    _over,
    _machine_lost,
    _unschedulable,
    _image,
    _cannot_begin,
    _clone,
    _crashed_at_start,
    _restarted,
    _volume,
    _machine_trouble,
    _slow_image,
    _slow_answer,
    _not_placed,
)
