"""Rules about what has begun: programs that crash, run out of memory or do not answer, and machines that take labs away.

The kubelet's words: k8s.io/kubernetes/pkg/kubelet (kuberuntime, eviction, lifecycle, nodeshutdown), version 1.36.
"""

import re
from typing import Any

from k8s.diagnosis.facts import SLOW_ANSWER, Container, Facts, parse_time
from k8s.diagnosis.says import AGAIN, OTHER_SOFTWARE, TELL, WAIT, Diagnosis, Rule, amount_of_memory, unknown

#: Seconds for which a restart that went well is still told of.
RESTART_TOLD = 1800
#: Restarts after which a lab that had worked is given up.
TOO_MANY_RESTARTS = 5
#: What a kubelet says of a container on its way; anything else is trouble.
_ON_ITS_WAY = {"", "ContainerCreating", "PodInitializing"}

#: Causes by which the cluster takes a lab, with the files in it, away from people who have done nothing wrong.
TAKEN_AWAY = ("machine-gone", "preempted", "evicted")
#: Who takes it, as the condition DisruptionTarget says (k8s.io/api/core/v1), in plain words.
_TAKEN = {
    "EvictionByEvictionAPI": "Its machine was taken out of service.",
    "DeletionByTaintManager": "Its machine was taken out of service.",
    "DeletionByPodGC": "Its machine is no longer there.",
    "PreemptionByScheduler": "Something more urgent needed its place.",
    "TerminationByKubelet": "Its machine was shut down or ran short of room.",
}

SHUT_DOWN = Diagnosis(
    "shut-down",
    "The lab was shut down",
    "Somebody chose Shut Down in the lab's own File menu.",
    "Launch a new lab when you need one.",
    True,
)
DEADLINE = Diagnosis(
    "deadline", "The lab's lifetime was over", "It has reached its maximum lifetime.", "Launch a new lab.", True
)
MACHINE_FULL = Diagnosis(
    "machine-full",
    "The machine was full",
    "Another lab took the machine that had been found for this one.",
    "Launch the lab again. It will be placed on another machine.",
    True,
)
MACHINE_GONE = Diagnosis(
    "machine-gone",
    "The machine was shut down",
    "The machine that the lab ran on had to be taken out of service.",
    AGAIN,
    True,
)
PREEMPTED = Diagnosis(
    "preempted",
    "The lab had to make room",
    "Something more urgent needed the place of this lab on its machine. This is not your fault.",
    "Launch the lab again. It will wait for another machine.",
    True,
)
MOVING = Diagnosis(
    "moving",
    "The lab is being moved",
    "Its machine is being taken out of service or is needed for something more urgent. Files that were only in the lab are lost.",
    "No action needed: it will start again by itself on another machine.",
    False,
)
MACHINE_SILENT = Diagnosis(
    "machine-silent",
    "The machine is not responding",
    "The machine that the lab runs on is not responding. It may be back in a few minutes.",
    "Wait five minutes. If the lab is not back then, stop it and launch a new one.",
    False,
)
MACHINE_TROUBLE = Diagnosis(
    "machine-trouble", "The machine has trouble starting the lab", "The machine could not set it up yet.", WAIT, False
)
STOPPED_ANSWERING = Diagnosis(
    "not-answering",
    "The lab is not responding at the moment",
    "It is running but too busy to respond, for example because of a very large computation.",
    "Wait a minute and reload. If that does not help, stop the lab and launch one with more CPU.",
    False,
)


# The pod as a whole ----------------------------------------------------------------------------------------------


def over(known: Facts) -> Diagnosis | None:
    """The pod as a whole has ended, or is being taken away."""
    if known.phase == "Succeeded":
        return SHUT_DOWN
    disruption = _disruption(known)
    if known.phase != "Failed":
        return MOVING if disruption else None
    reason, message = str(known.status.get("reason") or ""), str(known.status.get("message") or "")
    if reason == "Evicted" or (not reason and disruption.get("reason") == "TerminationByKubelet"):
        return evicted(message or str(disruption.get("message") or ""))
    if reason == "DeadlineExceeded":
        return DEADLINE
    if reason.startswith("OutOf"):
        return MACHINE_FULL
    if reason == "Preempting":
        return PREEMPTED
    if reason in ("NodeLost", "NodeShutdown", "Shutdown", "Terminated", "NodeAffinity"):
        return MACHINE_GONE
    if disruption.get("reason") == "PreemptionByScheduler":
        return PREEMPTED
    return MACHINE_GONE if disruption else None


def _disruption(known: Facts) -> dict[str, str]:
    """Who takes it away, and why (k8s.io/api/core/v1: DisruptionTarget)."""
    condition = known.condition("DisruptionTarget")
    return condition if condition.get("status", "True") == "True" else {}


def loss(pod: dict[str, Any] | None) -> str:
    """Why a lab's place on its machine is gone, in one sentence. `pod`: as it was last seen; None where nobody saw it go."""
    conditions = ((pod or {}).get("status") or {}).get("conditions") or []
    reason = next((item.get("reason") for item in conditions if item.get("type") == "DisruptionTarget"), None)
    return _TAKEN.get(str(reason), "The cluster removed it and does not say why.")


def evicted(message: str) -> Diagnosis:
    """The machine took the lab away. `message`: the kubelet's (pkg/kubelet/eviction/helpers.go)."""
    if re.search(r"exceeds the (total )?limit|exceeded its local ephemeral storage", message, re.I):
        return Diagnosis(
            "disk-full",
            "The lab wrote more files than it has room for",
            "It was ended to protect the others on its machine. Files that were only in the lab are lost.",
            "Launch a new lab and store less: delete what you do not need, and read large data in parts.",
            True,
        )
    what = "memory" if "memory" in message else "disk space" if re.search(r"storage|disk|inodes", message) else "room"
    return Diagnosis(
        "evicted",
        f"The machine ran short of {what}",
        "The lab was ended to protect the machine. This is not your fault.",
        AGAIN,
        True,
    )


def machine_silent(known: Facts) -> Diagnosis | None:
    """Nothing has been heard from its machine; the node controller has said so."""
    lost = known.status.get("reason") == "NodeLost" or known.phase == "Unknown"
    said = known.said("NodeNotReady", "TaintManagerEviction")
    if lost or (said and not known.is_ready and known.main.has_started and known.since(said.at) < 900):
        return MACHINE_SILENT
    return None


def machine_trouble(known: Facts) -> Diagnosis | None:
    """Its place on the machine cannot be made."""
    said = known.said("FailedCreatePodSandBox", "NetworkNotReady")
    return MACHINE_TROUBLE if said and not known.has_begun and known.since(said.at) < 300 else None


# Its program -----------------------------------------------------------------------------------------------------


def cannot_begin(known: Facts) -> Diagnosis | None:
    """The program never ran at all."""
    for container in known.containers:
        reason, message = container.waiting.get("reason"), str(container.waiting.get("message") or "")
        ended = container.ended.get("reason")
        if reason in ("CreateContainerConfigError", "CreateContainerError"):
            return _bad_setting(message)
        if reason == "RunContainerError" or ended in ("StartError", "ContainerCannotRun"):
            return _no_program(f"{container.ended.get('message') or ''} {message}")
    return None


def _no_program(message: str) -> Diagnosis:
    missing = re.search(r"not found|no such file", message, re.I)
    text = "There is no JupyterLab in this software." if missing else "The software cannot be run on this machine."
    return Diagnosis("cannot-run", "This software cannot be started", text, OTHER_SOFTWARE, True)


def _bad_setting(message: str) -> Diagnosis:
    if "runAsNonRoot" in message or "non-numeric user" in message:
        text = "The software wants to run as administrator, which is not allowed here."
        return Diagnosis("wants-root", "This software is not allowed here", text, OTHER_SOFTWARE, True)
    if "not found" in message:
        return Diagnosis("setting-missing", "The lab waits for its settings", "They are not there yet.", WAIT, False)
    return Diagnosis("setting", "The lab cannot be set up", "The machine did not accept its settings.", TELL, False)


def crashed_at_start(known: Facts) -> Diagnosis | None:
    """It ended before it had ever answered: the same will happen again."""
    container = known.main
    if not container.ended or known.was_ready:
        return None
    code, mib = int(container.ended.get("exitCode") or 0), container.memory_mib
    if container.ended.get("reason") == "OOMKilled":
        text = (
            f"It needed more than its {amount_of_memory(mib)} before it was even ready."
            if mib
            else "It could not start."
        )
        return Diagnosis("out-of-memory", "The lab ran out of memory", text, more_memory(mib), True)
    if not code and known.phase != "Failed":
        return None
    text = f"JupyterLab ended by itself ({_ending(code)}) before it was ready."
    after = f"Look at its log. {OTHER_SOFTWARE}"
    return Diagnosis("crashed", "The lab ended while it was starting", text, after, True)


def restarted(known: Facts) -> Diagnosis | None:
    """It had worked, ended, and was (or is being) started again."""
    container = known.main
    if not container.ended or not known.was_ready:
        return None
    failing = container.restarts >= TOO_MANY_RESTARTS and container.waiting.get("reason") == "CrashLoopBackOff"
    if failing or known.phase == "Failed":
        return _keeps_crashing(container)
    recent = known.since(parse_time(container.ended.get("finishedAt"))) < RESTART_TOLD
    return _restarted(container, again=known.is_ready) if recent or not known.is_ready else None


def _keeps_crashing(container: Container) -> Diagnosis:
    if container.ended.get("reason") == "OOMKilled":
        text = f"It needs more than its {amount_of_memory(container.memory_mib)} again and again."
        return Diagnosis("out-of-memory", "The lab ran out of memory", text, more_memory(container.memory_mib), True)
    ending = _ending(int(container.ended.get("exitCode") or 0))
    text = f"It was started again several times, and each time it ended by itself ({ending})."
    return Diagnosis("crashed", "The lab keeps ending", text, AGAIN, True)


def _restarted(container: Container, *, again: bool) -> Diagnosis:
    state = "It was started again" if again else "It is being started again"
    kept = "your files are still there, but notebooks have lost what they had computed."
    if container.ended.get("reason") == "OOMKilled":
        text = f"It needed more than its {amount_of_memory(container.memory_mib)}. {state}: {kept}"
        more = more_memory(container.memory_mib)
        after = f"Run the notebook again in smaller parts. Or: {more[0].lower()}{more[1:]}"
        return Diagnosis("restarted-memory", "The lab ran out of memory", text, after, False)
    text = f"It ended by itself ({_ending(int(container.ended.get('exitCode') or 0))}). {state}: {kept}"
    return Diagnosis("restarted", "The lab was interrupted", text, "Open it and run your notebook again.", False)


def more_memory(mib: int) -> str:
    """The next step after something ran out of `mib` of memory (0: not known)."""
    return (
        f"Launch it again with {amount_of_memory(2 * mib)} of memory." if mib else "Launch it again with more memory."
    )


def _ending(code: int) -> str:
    meant = {
        0: "without an error",
        126: "its program cannot be executed",
        127: "its program was not found",
        137: "it was killed",
        139: "it broke in its own code",
        143: "it was asked to end",
    }
    return meant.get(code, f"exit code {code}")


def slow_answer(known: Facts) -> Diagnosis | None:
    """It runs, and does not answer."""
    since = known.main.running_since
    if known.is_ready or since is None or known.main.ended:
        return None
    if known.was_ready:
        return STOPPED_ANSWERING
    if known.since(since) <= SLOW_ANSWER:
        return None
    text = f"JupyterLab has been starting for {int(known.since(since) // 60)} minutes and does not respond yet."
    after = "Wait a little more and look at its log. If nothing changes, stop it and launch a new one."
    return Diagnosis("slow-start", "The lab is slow to start", text, after, False)


# What no rule knows ----------------------------------------------------------------------------------------------


def _odd_line(known: Facts) -> str:
    if known.phase == "Failed":
        reason, message = known.status.get("reason"), known.status.get("message")
        return ": ".join(str(part) for part in (reason, message) if part)
    for container in known.containers:
        if str(container.waiting.get("reason") or "") not in _ON_ITS_WAY | {"CrashLoopBackOff"}:
            return f"{container.waiting['reason']}: {container.waiting.get('message') or ''}"
    warning = known.events[-1] if known.events and known.events[-1].warns else None
    return warning.line if warning and known.is_placed and not known.has_begun else ""


def odd(known: Facts) -> Diagnosis | None:
    """It has ended, or a machine complains, in words that no rule knows."""
    line = _odd_line(known)
    return unknown(line, fatal=known.phase == "Failed") if line or known.phase == "Failed" else None


def _line_of_pod(known: Facts) -> str:
    disruption = _disruption(known)
    said = known.line_of(
        "NodeNotReady", "TaintManagerEviction", "FailedCreatePodSandBox", "NetworkNotReady", "Preempted"
    )
    parts = (
        known.status.get("reason"), known.status.get("message"), disruption.get("reason"), disruption.get("message"), said,
    )  # fmt: skip
    return " | ".join(str(part) for part in parts if part)


def _line_of_program(known: Facts) -> str:
    lines = [f"{item.name}: {line}" for item in known.containers if (line := item.ending or item.waiting_line)]
    return " | ".join(lines)


RULES = (
    Rule(
        over,
        ("shut-down", "deadline", "machine-full", "machine-gone", "preempted", "evicted", "disk-full", "moving"),
        _line_of_pod,
    ),
    Rule(machine_silent, ("machine-silent",), _line_of_pod),
)
PROGRAM_RULES = (Rule(cannot_begin, ("cannot-run", "wants-root", "setting-missing", "setting"), _line_of_program),)
CRASH_RULES = (
    Rule(crashed_at_start, ("out-of-memory", "crashed"), _line_of_program),
    Rule(restarted, ("out-of-memory", "crashed", "restarted-memory", "restarted"), _line_of_program),
)
LATE_RULES = (
    Rule(machine_trouble, ("machine-trouble",), _line_of_pod),
    Rule(slow_answer, ("not-answering", "slow-start"), lambda known: known.line_of("Unhealthy")),
)
LAST_RULES = (Rule(odd, ("unknown",), _odd_line),)
