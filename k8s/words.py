"""Pure: what is said to people about a workload in trouble. No word here comes from Kubernetes; a test sees to that."""

import re
from dataclasses import dataclass, replace

from k8s import quantities


@dataclass(frozen=True)
class Diagnosis:
    """Why a workload does not run. `cause`: a slug. `fatal`: waiting will not help."""

    cause: str
    title: str
    text: str
    next_step: str
    fatal: bool


_AGAIN = "Launch a new lab. If it happens again, tell the staff."
_NO_TOOL = "Launch the lab without a repository, and tell the staff."
_TELL = "Tell the staff; this is nothing that you can change."
_WAIT = "Nothing: it goes on by itself. If it takes too long, stop the lab and tell the staff."

SHUT_DOWN = Diagnosis(
    "shut-down",
    "The lab was shut down",
    "Somebody chose Shut Down in the lab's own File menu.",
    "Launch a new lab when you need one.",
    True,
)
DEADLINE = Diagnosis(
    "deadline", "The lab's time was over", "It has reached the longest time that it may run.", "Launch a new lab.", True
)
MACHINE_FULL = Diagnosis(
    "machine-full",
    "The machine was full",
    "Another lab took the place that had been found for this one.",
    "Launch the lab again: another place will be found.",
    True,
)
MACHINE_GONE = Diagnosis(
    "machine-gone",
    "The machine was shut down",
    "The machine that the lab ran on had to be taken out of service.",
    _AGAIN,
    True,
)
MACHINE_SILENT = Diagnosis(
    "machine-silent",
    "The machine does not answer",
    "Nothing has been heard from the machine that the lab runs on. It may be back in a few minutes.",
    "Wait five minutes. If the lab is not back then, stop it and launch a new one.",
    False,
)
MACHINE_TROUBLE = Diagnosis(
    "machine-trouble", "The machine has trouble starting the lab", "It is tried again every few seconds.", _WAIT, False
)
NOT_PLACED = Diagnosis(
    "not-placed", "The lab waits for a machine", "No machine has been chosen for it yet.", _WAIT, False
)
STOPPED_ANSWERING = Diagnosis(
    "not-answering",
    "The lab does not answer at the moment",
    "It is running, but too busy to answer, for example with a very large computation.",
    "Wait a minute and reload. If that does not help, stop the lab and launch one with more CPU.",
    False,
)


def amount_of_memory(mib: int) -> str:
    """1024 is "1 GiB", 1536 is "1.5 GiB", 300 is "300 MiB"."""
    return f"{mib / 1024:.4g} GiB" if mib >= 1024 else f"{mib} MiB"


def amount_of_cpu(millis: int) -> str:
    """1000 is "1 CPU", 2500 is "2.5 CPUs"."""
    return "1 CPU" if millis == 1000 else f"{millis / 1000:.4g} CPUs"


def evicted(message: str) -> Diagnosis:
    """The machine took the lab away. `message`: the kubelet's (pkg/kubelet/eviction/helpers.go)."""
    if re.search(r"exceeds the (total )?limit|exceeded its local ephemeral storage", message, re.I):
        return Diagnosis(
            "disk-full",
            "The lab wrote more files than it has room for",
            "It was ended to protect the others on its machine. Files that were only in the lab are lost.",
            "Launch a new lab, and write less: delete what you do not need, and read large data in parts.",
            True,
        )
    what = "memory" if "memory" in message else "disk space" if re.search(r"storage|disk|inodes", message) else "room"
    return Diagnosis(
        "evicted",
        f"The machine ran short of {what}",
        "The lab was ended so that the machine can go on. It is not your fault.",
        _AGAIN,
        True,
    )


def no_place(message: str, request: dict[str, str]) -> Diagnosis:
    """No machine takes it. `message`: the scheduler's. `request`: what the lab asks for."""
    short = set(re.findall(r"Insufficient ([\w./-]*\w)", message))
    if any("gpu" in name for name in short):
        gpus = request.get("nvidia.com/gpu", "1")
        return _waits("gpu", "a free GPU", f"It asks for {gpus} GPU{'s' if gpus != '1' else ''}; none is free in one machine.",
                      "fewer GPUs or none")  # fmt: skip
    if short & {"cpu", "memory"}:
        asked = _asked(request, short)
        what = "memory" if short == {"memory"} else "CPU" if short == {"cpu"} else "CPU and memory"
        cause = "memory" if short == {"memory"} else "cpu"
        return _waits(
            cause, f"free {what}", f"It asks for {asked}; no machine has that much free just now.", f"less {what}"
        )
    if short or "Too many pods" in message:
        return _waits("full", "a free place", "All machines are full just now.", "less")
    if re.search(r"[Pp]ersistent[Vv]olume|volume", message):
        return storage_missing(message)
    if "affinity/selector" in message:
        gpu = "nvidia.com/gpu" in request
        what = "with this model of GPU" if gpu else "of the kind that the lab needs"
        return Diagnosis(
            "no-such-machine",
            f"There is no machine {what}",
            f"No machine {what} is in service just now.",
            "Stop the lab and launch it with another model." if gpu else _TELL,
            False,
        )
    return Diagnosis(
        "no-machine",
        "No machine is free for labs just now",
        "All machines are reserved, being maintained or not yet there.",
        "Nothing: the lab starts by itself as soon as there is one. If it takes long, tell the staff.",
        False,
    )


def _waits(cause: str, what: str, text: str, less: str) -> Diagnosis:
    return Diagnosis(
        f"no-free-{cause}",
        f"The lab waits for {what}",
        text,
        f"Wait: it starts by itself when others end. Or stop it and launch one with {less}.",
        False,
    )


def _asked(request: dict[str, str], short: set[str]) -> str:
    parts = []
    try:
        if "cpu" in short:
            parts.append(amount_of_cpu(quantities.cpu_millis(request["cpu"])))
        if "memory" in short:
            parts.append(f"{amount_of_memory(quantities.memory_mib(request['memory']))} of memory")
    except (KeyError, ValueError):
        return "much"
    return " and ".join(parts)


def image_trouble(message: str, image: str, *, is_tool: bool = False) -> Diagnosis:
    """The software cannot be fetched. `message`: of the container runtime, and of the registry through it.

    `is_tool`: it is not what was chosen, but what copies the repository.
    """
    found = _image_trouble(message, image)
    return replace(found, next_step=_NO_TOOL) if is_tool and found.fatal else found


def _image_trouble(message: str, image: str) -> Diagnosis:
    if re.search(r"InvalidImageName|couldn't parse image|invalid reference format", message):
        return _image("image-name", f"“{image}” is not a name of software", "Its name is written wrongly.", fatal=True)
    if re.search(r"toomanyrequests|rate limit|429", message, re.I):
        return _image(
            "image-busy", "The software cannot be fetched just now", "Its source is asked too often.", fatal=False
        )
    if re.search(r"pull access denied|repository does not exist", message, re.I):
        text = f"“{image}” does not exist, or is not public."
        return _image("image-not-found", "The software does not exist", text, fatal=True)
    if re.search(
        r"\bunauthorized\b|\bforbidden\b|\bdenied\b|authorization failed|authentication required|\b40[13]\b",
        message,
        re.I,
    ):
        return _image(
            "image-denied", "The software may not be fetched", f"Its source does not give “{image}” to us.", fatal=True
        )
    if re.search(
        r"no such host|timeout|timed out|refused|unreachable|reset by peer|\b5\d\d\b|\bEOF\b|TLS", message, re.I
    ):
        text = "Its source does not answer; it is tried again and again."
        return _image("image-unreachable", "The software cannot be fetched just now", text, fatal=False)
    if re.search(
        r"not found|NotFound|manifest unknown|no match for platform|ErrImageNeverPull|not present", message, re.I
    ):
        text = f"There is no “{image}” where it should be."
        return _image("image-not-found", "The software does not exist", text, fatal=True)
    if re.search(r"no space left|disk", message, re.I):
        return _image("image-no-room", "The machine has no room for the software", "Its disk is full.", fatal=False)
    return _image(
        "image-trouble", "The software cannot be fetched", f"“{image}” could not be fetched yet.", fatal=False
    )


def _image(cause: str, title: str, text: str, *, fatal: bool) -> Diagnosis:
    after = "Launch a lab with other software, and tell the staff about this one." if fatal else _WAIT
    return Diagnosis(cause, title, text, after, fatal)


def slow_image(image: str) -> Diagnosis:
    """The software is on its way for long."""
    text = (
        f"This machine fetches “{image}” for the first time. That can take several minutes; the next time it is there."
    )
    return Diagnosis(
        "image-slow", "The software is still being fetched", text, "Nothing: the lab starts by itself.", False
    )


def clone_failed(code: int, *, final: bool) -> Diagnosis:
    """git ended with `code`. `final`: not for the first time."""
    reasons = "the address is wrong, the repository is not public, or its site does not answer"
    if not final:
        text = f"git ended with {code}: {reasons}. It is tried again in a moment."
        return Diagnosis("clone-retry", "The repository could not be copied yet", text, _WAIT, False)
    text = f"git ended with {code}, three times: {reasons}."
    after = "Open the address in your browser. If it works there without signing in, launch the lab again with that address."
    return Diagnosis("clone-failed", "The repository could not be copied", text, after, True)


def clone_out_of_memory(mib: int) -> Diagnosis:
    """git needed more than the lab has."""
    text = f"Copying it takes more than the lab's {amount_of_memory(mib)} of memory."
    return Diagnosis("clone-memory", "The repository is too large", text, _more(mib), True)


def out_of_memory_at_start(mib: int) -> Diagnosis:
    """Killed for memory before it ever answered."""
    text = (
        f"It needed more than its {amount_of_memory(mib)} before it was even ready." if mib else "It could not start."
    )
    return Diagnosis("out-of-memory", "The lab ran out of memory", text, _more(mib), True)


def crashed_at_start(code: int) -> Diagnosis:
    """Ended by itself before it ever answered."""
    text = f"JupyterLab ended by itself ({_ending(code)}) before it was ready."
    after = "Look at its last lines below. Launch a lab with other software, and tell the staff about this one."
    return Diagnosis("crashed", "The lab ended while it was starting", text, after, True)


def keeps_crashing(code: int, out_of_memory: bool, mib: int) -> Diagnosis:
    """It had worked, but ends again and again."""
    if out_of_memory:
        text = f"It needs more than its {amount_of_memory(mib)} again and again."
        return Diagnosis("out-of-memory", "The lab ran out of memory", text, _more(mib), True)
    text = f"It was started again several times, and each time it ended by itself ({_ending(code)})."
    return Diagnosis("crashed", "The lab keeps ending", text, _AGAIN, True)


def restarted(code: int, out_of_memory: bool, mib: int, *, again: bool) -> Diagnosis:
    """It had worked and ended. `again`: it is back."""
    state = "It was started again" if again else "It is being started again"
    kept = "your files are still there, but notebooks have lost what they had computed."
    if out_of_memory:
        text = f"It needed more than its {amount_of_memory(mib)}. {state}: {kept}"
        after = f"Run the notebook again in smaller parts. Or: {_more(mib)[0].lower()}{_more(mib)[1:]}"
        return Diagnosis("restarted-memory", "The lab ran out of memory", text, after, False)
    text = f"It ended by itself ({_ending(code)}). {state}: {kept}"
    return Diagnosis("restarted", "The lab was interrupted", text, "Open it and run your notebook again.", False)


def _more(mib: int) -> str:
    return (
        f"Launch it again with {amount_of_memory(2 * mib)} of memory." if mib else "Launch it again with more memory."
    )


def _ending(code: int) -> str:
    meant = {
        0: "without an error",
        126: "its program may not be run",
        127: "its program was not found",
        137: "it was killed",
    }
    return meant.get(code, f"exit code {code}")


def no_program(message: str) -> Diagnosis:
    """The image has not what the template wants to run."""
    missing = re.search(r"not found|no such file", message, re.I)
    text = "There is no JupyterLab in this software." if missing else "The software cannot be run on this machine."
    after = "Launch a lab with other software, and tell the staff about this one."
    return Diagnosis("cannot-run", "This software cannot be started", text, after, True)


def bad_setting(message: str) -> Diagnosis:
    """A setting is refused by the machine that should run it."""
    if "runAsNonRoot" in message or "non-numeric user" in message:
        text = "The software wants to run as administrator, which is not allowed here."
        after = "Launch a lab with other software, and tell the staff about this one."
        return Diagnosis("wants-root", "This software is not allowed here", text, after, True)
    if "not found" in message:
        return Diagnosis("setting-missing", "The lab waits for its settings", "They are not there yet.", _WAIT, False)
    return Diagnosis("setting", "The lab cannot be set up", "The machine did not take its settings.", _TELL, False)


def storage_missing(message: str) -> Diagnosis:
    """A volume is not there, not bound or not mounted."""
    text = (
        "A place for files that it needs is not there."
        if "not found" in message
        else "Its place for files is not ready."
    )
    return Diagnosis("storage", "The lab waits for its files", text, _WAIT, False)


def slow_answer(minutes: int) -> Diagnosis:
    """It runs and has not answered for long."""
    text = f"JupyterLab has been starting for {minutes} minutes and does not answer yet."
    after = "Wait a little more and look at its last lines below. If nothing changes, stop it and launch a new one."
    return Diagnosis("slow-start", "The lab takes long to start", text, after, False)
