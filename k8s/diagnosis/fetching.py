"""Rules about what is fetched before the lab's program begins: its image, and the repository that is copied into it.

The kubelet's words: k8s.io/kubernetes/pkg/kubelet/images; within them stand those of the container runtime and of the registry.
"""

import re
from dataclasses import replace

from k8s.diagnosis.facts import Container, Facts
from k8s.diagnosis.running import more_memory
from k8s.diagnosis.says import OTHER_SOFTWARE, WAIT, Diagnosis, Rule, amount_of_memory, unknown

#: How the copying ends when the site of the repository says nothing for 20 seconds (`k8s/services/jupyterlab.json`).
SILENT = 124
_SILENT_NEXT = (
    "Open the address in your browser. If it does not open there either, try again later. If it does, its site does not respond "
    "to labs: use a copy on a public site, or launch the lab without a repository and tell the staff."
)
#: Seconds after which fetching is worth a word.
SLOW_PULL = 60
_REASONS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
_SOON = "No action needed: the site will try again in a moment."
#: What git's last line means. The first that fits.
_GIT = (
    (r"remote branch .* not found",
     "The repository has no such branch or tag. If there is a slash in its name, write %2F for it in the address."),
    (r"could not resolve host", "The site in the address cannot be found. Check the address for typos."),
    (r"could not read (username|password)|authentication failed|terminal prompts disabled|\b40[13]\b",
     "There is no public repository at this address: it is private, or the address is mistyped."),
    (r"not found|does not appear to be a git repository|\b404\b", "There is no repository at this address, or it is private."),
    (r"no space left|disk quota", "The repository is larger than the room for files in the lab."),
    (r"timed? ?out|refused|unreachable|unable to access|early EOF|RPC failed|hung up|reset by peer",
     "The site of the repository is not responding."),
)  # fmt: skip
#: Characters of git's line that are shown.
_LONGEST_WORD = 140
_NO_TOOL = "Launch the lab without a repository, and tell the staff."
_NO_NAME = "“{image}” is not a name of software"
_NOT_NOW = "The software cannot be downloaded at the moment"
_NOWHERE = "The software does not exist"
#: What is looked for in the words of the runtime and of the registry: (cause, words, title, text, fatal). The first that fits.
_TROUBLES = (
    ("image-name", r"InvalidImageName|couldn't parse image|invalid reference format", _NO_NAME, "Its name is invalid.", True),
    ("image-busy", r"toomanyrequests|rate limit|\b429\b", _NOT_NOW, "Its download server is receiving too many requests.", False),
    ("image-not-found", r"pull access denied|repository does not exist", _NOWHERE, "“{image}” does not exist, or is not public.", True),
    ("image-denied", r"\bunauthorized\b|\bforbidden\b|\bdenied\b|authorization failed|authentication required|\b40[13]\b",
     "Access to the software is denied", "Its download server does not allow us to download “{image}”.", True),
    ("image-unsigned", r"SignatureValidationFailed|signature", "The software is not trusted here",
     "“{image}” is not signed as this cluster requires.", True),
    ("image-unreachable",
     r"no such host|timeout|timed out|refused|unreachable|reset by peer|\b5\d\d\b|\bEOF\b|TLS|x509|RegistryUnavailable", _NOT_NOW,
     "Its download server is not responding.", False),
    ("image-platform", r"no match for platform|exec format error", "The software is made for other machines",
     "“{image}” does not run on the kind of machine that is here.", True),
    ("image-not-found", r"not found|NotFound|manifest unknown|ErrImageNeverPull|not present", _NOWHERE,
     "“{image}” does not exist on its download server.", True),
    ("image-no-room", r"no space left|disk", "The machine has no room for the software", "Its disk is full.", False),
)  # fmt: skip


def _broken(known: Facts) -> Container | None:
    return next((item for item in known.containers if item.waiting.get("reason") in _REASONS), None)


def _words(known: Facts, container: Container) -> str:
    """The reason and what was said when it last failed: an older kubelet says "back-off" alone in the meantime."""
    reason, message = container.waiting.get("reason"), str(container.waiting.get("message") or "")
    pulled = next((event for event in reversed(known.events) if event.message.startswith("Failed to pull image")), None)
    return f"{reason}: {message}" + (f" | {pulled.message}" if pulled and pulled.message not in message else "")


def image(known: Facts) -> Diagnosis | None:
    """It cannot be fetched."""
    container = _broken(known)
    if container is None:
        return None
    words = _words(known, container)
    for cause, pattern, title, text, fatal in _TROUBLES:
        if re.search(pattern, words, re.I):
            title, text = (part.format(image=container.image) for part in (title, text))
            after = (_NO_TOOL if container.is_init else OTHER_SOFTWARE) if fatal else WAIT
            return Diagnosis(cause, title, text, after, fatal)
    return replace(unknown(words, fatal=False), title="The software cannot be downloaded, and we do not know why")


def slow(known: Facts) -> Diagnosis | None:
    """It is on its way for long."""
    waiting = next((item for item in known.containers if item.waiting), None)
    pulling, pulled = known.said("Pulling"), known.said("Pulled", "Failed")
    if waiting is None or pulling is None or (pulled and pulled.at and pulling.at and pulled.at >= pulling.at):
        return None
    seconds = known.since(pulling.at)
    if seconds <= SLOW_PULL:
        return None
    minutes = int(seconds // 60)
    so_far = "a minute" if minutes == 1 else f"{minutes} minutes"
    text = (
        f"This machine has been downloading “{waiting.image}” for {so_far}. Large software can take ten minutes. Next time, it "
        "will already be there."
    )
    title, since = "The software is still being downloaded", pulling.at.isoformat() if pulling.at else ""
    return Diagnosis("image-slow", title, text, "No action needed: the lab will start by itself.", False, since=since)


def copying(known: Facts) -> Diagnosis | None:
    """The repository: the first failures may be the network's; between the second and the third lies a pause of ten seconds."""
    container = _copier(known)
    code = container.ended.get("exitCode") if container else None
    if container is None or not code:
        return None
    if container.ended.get("reason") == "OOMKilled":
        text = f"Copying it takes more than the lab's {amount_of_memory(container.memory_mib)} of memory."
        return Diagnosis("clone-memory", "The repository is too large", text, more_memory(container.memory_mib), True)
    if code == SILENT:
        return _silent(container)
    reasons = "the address is wrong, the repository is not public, or its site is not responding"
    if known.phase == "Failed" or (container.restarts > 1 and container.running_since is None):
        text = f"git ended with {code}, three times: {reasons}."
        after = "Open the address in your browser. If it works there without signing in, launch the lab again with that address."
        return Diagnosis("clone-failed", "The repository could not be copied", text, after, True)
    text = f"git ended with {code}: {reasons}."
    return Diagnosis("clone-retry", "The repository could not be copied yet", text, _SOON, False)


def _silent(container: Container) -> Diagnosis:
    """Its site says nothing: asked twice, for 20 seconds each, so that people learn of it within a minute."""
    text = "The site of the repository has not answered for 20 seconds"
    if container.restarts and container.running_since is None:
        return Diagnosis("clone-failed", "The repository could not be copied", f"{text}, twice.", _SILENT_NEXT, True)
    return Diagnosis("clone-retry", "The repository could not be copied yet", f"{text}.", _SOON, False)


def with_log(found: Diagnosis, log: str) -> Diagnosis:
    """What is said of a repository that could not be copied, with git's own last word; anything else as it is. `log`: what git wrote."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if found.cause != "clone-failed" or not lines:
        return found
    line = next((line for line in reversed(lines) if line.startswith(("fatal:", "error:"))), lines[-1])
    meaning = next((text for pattern, text in _GIT if re.search(pattern, line, re.I)), "git could not copy it.")
    shown = line if len(line) <= _LONGEST_WORD else f"{line[: _LONGEST_WORD - 1]}…"
    return replace(found, text=f"{meaning} git said: “{shown}”")


def _copier(known: Facts) -> Container | None:
    return next((item for item in known.containers if item.is_init), None)


def _line_of_image(known: Facts) -> str:
    container = _broken(known)
    return _words(known, container) if container else ""


def _line_of_copier(known: Facts) -> str:
    container = _copier(known)
    return container.ending if container else ""


RULES = (Rule(image, (*dict.fromkeys(row[0] for row in _TROUBLES), "unknown"), _line_of_image),)
COPY_RULES = (Rule(copying, ("clone-memory", "clone-failed", "clone-retry"), _line_of_copier),)
LATE_RULES = (Rule(slow, ("image-slow",), lambda known: known.line_of("Pulling")),)
