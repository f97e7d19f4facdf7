"""Rules about what the cluster answered instead of taking what was sent: one table of patterns, the first that fits speaks."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from k8s import quantities
from k8s.diagnosis.facts import Facts
from k8s.diagnosis.says import (
    TELL,
    Diagnosis,
    Rule,
    amount_of_gpus,
    amount_of_memory,
    number_of_cpus,
    unknown,
)
from k8s.diagnosis.shortages import Shortage, never_fits, shortages
from k8s.errors import Error, Rejected

_TRIED_AGAIN = "No action needed: the site tries again every minute. If it takes too long, tell the staff."


@dataclass(frozen=True)
class _Pattern:
    """An answer: by its words, and by its HTTP status where the words alone could be somebody else's."""

    cause: str
    words: str
    say: Callable[[Error, re.Match[str]], Diagnosis]
    codes: tuple[int, ...] = ()

    def found(self, known: Facts) -> Diagnosis | None:
        error = known.error
        if error is None or (self.codes and error.code not in self.codes):
            return None
        match = re.search(self.words, error.message, re.I | re.S)
        return self.say(error, match) if match else None


def _fixed(cause: str, title: str, text: str, next_step: str, *, fatal: bool) -> Callable[..., Diagnosis]:
    made = Diagnosis(cause, title, text, next_step, fatal)
    return lambda error, match: made


# Limits ----------------------------------------------------------------------------------------------------------


def _quota(error: Error, match: re.Match[str]) -> Diagnosis:
    found = shortages(error.message)
    title = "Your course has no room for this lab"
    text = " ".join(_sentence(item) for item in found) or "The limits of your course are reached."
    # What the site has let in fits soon: limits that were raised and labs that have just ended are counted a little later.
    return Diagnosis("quota", title, text, _less(found), never_fits(error.message))


def _sentence(item: Shortage) -> str:
    if item.resource == "cpu":
        used, limited, asked = (number_of_cpus(value) for value in (item.used, item.limited, item.requested))
        return f"Your course has used {used} of its {limited} {'CPU' if limited == '1' else 'CPUs'}; this lab asks for {asked}."
    if item.resource == "memory":
        used, limited, asked = (amount_of_memory(value) for value in (item.used, item.limited, item.requested))
        return f"Your course has used {used} of its {limited} of memory; this lab asks for {asked}."
    if item.resource == "gpus":
        return f"Your course has used {item.used} of its {amount_of_gpus(item.limited)}; this lab asks for {item.requested}."
    if item.resource == "labs":
        unit = "lab is" if item.limited == 1 else "labs are"
        return f"In your course {item.used} of {item.limited} {unit} running."
    if item.resource == "places":
        return f"Your course has {item.used} of its {item.limited} storage areas; this lab needs one more."
    return f"Your course has used {item.used} of its {item.limited} GiB of storage; this lab asks for {item.requested} GiB."


_NAMES = {"cpu": "CPU", "memory": "memory", "gpus": "GPUs", "storage": "storage"}


def _less(found: list[Shortage]) -> str:
    never = [item for item in found if item.requested > item.limited]
    if never:
        return f"Launch it with {_list(never)}: your course does not have that much in all."
    if any(item.resource in ("storage", "places") for item in found):
        return "Ask the staff for more room, or to remove files that nobody needs any more."
    smaller = [item for item in found if item.resource in _NAMES and item.used < item.limited]
    if smaller and len(smaller) == len(found):
        return f"Wait: it starts by itself when others end. Or stop it and launch one with {_list(smaller)}."
    return "Wait: it starts by itself when others end. Or stop another lab that you do not need."


def _list(items: list[Shortage]) -> str:
    return " and ".join(
        "fewer GPUs" if item.resource == "gpus" else f"less {_NAMES.get(item.resource, 'room')}" for item in items
    )


def _above(error: Error, match: re.Match[str]) -> Diagnosis:
    resource, limit, asked = match[1], match[2], match[3]
    try:
        if resource == "memory":
            most, wanted = (amount_of_memory(quantities.memory_mib(value)) for value in (limit, asked))
            text = f"One lab may have at most {most} of memory here; this lab would get {wanted}."
        elif resource == "storage":
            most, wanted = (amount_of_memory(quantities.memory_mib(value)) for value in (limit, asked))
            text = f"One storage area may have at most {most} here; this lab asks for {wanted}."
        else:
            # What a lab may use is up to twice of what it asks for.
            most, wanted = (number_of_cpus(quantities.cpu_millis(value)) for value in (limit, asked))
            text = f"One lab may use at most {most} CPUs here at any time; this lab could use up to {wanted}."
    except ValueError:
        text = "It asks for more than one lab may have here."
    return Diagnosis("too-large", "The lab is too large", text, f"Launch it with less {_NAMES[resource]}.", True)


def _below(error: Error, match: re.Match[str]) -> Diagnosis:
    resource, limit = match[1], match[2]
    try:
        least = (
            f"{amount_of_memory(quantities.memory_mib(limit))} of memory"
            if resource == "memory"
            else f"{number_of_cpus(quantities.cpu_millis(limit))} CPU"
        )
        text = f"One lab must have at least {least} here."
    except ValueError:
        text = "It asks for less than one lab must have here."
    return Diagnosis("too-small", "The lab is too small", text, f"Launch it with more {_NAMES[resource]}.", True)


# Rules of the cluster --------------------------------------------------------------------------------------------

_not_allowed = partial(_fixed, title="This service is not allowed here", next_step=TELL, fatal=True)
_set_up_wrongly = partial(_fixed, title="The service is misconfigured", next_step=TELL, fatal=True)
_cannot_now = partial(_fixed, title="The lab cannot be started at the moment", next_step=_TRIED_AGAIN, fatal=False)

#: The order matters: a webhook may say anything, also what looks like another answer.
PATTERNS: tuple[_Pattern, ...] = (
    _Pattern(
        "address-taken",
        # ingress-nginx: internal/ingress/controller/controller.go, checkOverlap
        r'denied the request: host "[^"]*" and path "[^"]*" is already defined in ingress',
        _fixed(
            "address-taken",
            "The lab's address is taken",
            "Something else on the cluster already uses the address of this lab.",
            "Launch the lab with another name, and tell the staff.",
            fatal=True,
        ),
    ),
    _Pattern(
        "webhook-denied",
        r'admission webhook "[^"]*" denied the request',
        _not_allowed(
            "webhook-denied", text="A rule of the cluster's administrators does not allow this lab."
        ),
    ),
    _Pattern(
        "webhook-slow",
        r"failed calling webhook .*(deadline exceeded|timed out|i/o timeout|Client\.Timeout)",
        _cannot_now(
            "webhook-slow",
            text="A check that the cluster runs on every lab is taking too long. This is not your fault.",
        ),
    ),
    _Pattern(
        "webhook-away",
        r"failed calling webhook",
        _cannot_now("webhook-away", text="A check that the cluster runs on every lab is not working."),
    ),
    _Pattern(
        "admission-policy",
        r"ValidatingAdmissionPolicy '[^']*'.* denied request",
        _not_allowed("admission-policy", text="A policy of the cluster does not allow what this service asks for."),
    ),
    _Pattern(
        "pod-security",
        r'violates PodSecurity "',
        _not_allowed(
            "pod-security", text="It asks for permissions on the machine that labs do not get here. This is not your fault."
        ),
    ),
    _Pattern(
        "course-removed",
        r"because it is being terminated",
        _fixed(
            "course-removed",
            "The course's space on the cluster is being removed",
            "Everything that the course has on the cluster is being removed. Until that is done, nothing can be started in it.",
            "Wait a few minutes: the site will try again. If the course has not ended and the problem persists, tell the staff.",
            fatal=False,
        ),
    ),
    _Pattern(
        "course-missing",
        r'namespaces? "[^"]*" not found',
        _fixed(
            "course-missing",
            "The course's space on the cluster is not ready yet",
            "The course's space on the cluster is missing. The site will create it again.",
            _TRIED_AGAIN,
            fatal=False,
        ),
        codes=(404,),
    ),
    _Pattern(
        "kind-missing",
        r"the server could not find the requested resource|page not found",
        _set_up_wrongly("kind-missing", text="It needs something that is not installed on this cluster."),
        codes=(404,),
    ),
    _Pattern(
        "account-missing",
        r"error looking up service account",
        _fixed(
            "account-missing",
            "The course's space on the cluster is being prepared",
            "Something that every lab needs is not there yet.",
            _TRIED_AGAIN,
            fatal=False,
        ),
        codes=(403,),
    ),
    _Pattern(
        "names-missing",
        r'no PriorityClass with name|RuntimeClass "[^"]*" not found',
        _set_up_wrongly("names-missing", text="It names something that this cluster does not have."),
        codes=(403,),
    ),
    _Pattern(
        "limits-unstated",
        r"failed quota: .*must specify",
        _set_up_wrongly("limits-unstated", text="It does not say how much it needs, and this course has limits."),
        codes=(403,),
    ),
    _Pattern(
        "limits-uncounted",
        r"status unknown for quota",
        _fixed(
            "limits-uncounted",
            "The course's space on the cluster is being prepared",
            "The cluster has not yet counted what the course uses.",
            _TRIED_AGAIN,
            fatal=False,
        ),
        codes=(403,),
    ),
    _Pattern("quota", r"exceeded quota", _quota, codes=(403,)),
    _Pattern(
        "too-large",
        r"maximum (cpu|memory|storage) usage per \w+ is ([\w.]+), but (?:limit|request) is ([\w.]+)",
        _above,
        codes=(403,),
    ),
    _Pattern("too-small", r"minimum (cpu|memory) usage per \w+ is ([\w.]+), but ", _below, codes=(403,)),
    _Pattern(
        "ratio",
        r"max limit to request ratio per \w+ is",
        _set_up_wrongly("ratio", text="Its upper limit is too high compared with what it asks for."),
        codes=(403,),
    ),
    _Pattern(
        "site-unknown",
        r"",
        _cannot_now("site-unknown", text="The cluster no longer accepts the site's credentials.", next_step=TELL),
        codes=(401,),
    ),
    _Pattern(
        "site-forbidden",
        r'User "[^"]*" cannot \w+ resource|is not allowed to |attempting to grant RBAC permissions',
        _fixed(
            "site-forbidden",
            "The site is not allowed to start this",
            # An API server that has just been started says so too, until it has read who may do what.
            "The cluster does not allow the site to start what this service needs.",
            "Tell the staff. Once the site has permission, the lab will start by itself.",
            fatal=False,
        ),
        codes=(403,),
    ),
    _Pattern(
        "name-taken",
        r"already exists",
        _fixed(
            "name-taken",
            "The name is taken",
            "Something else on the cluster already has this name.",
            "Launch the lab with another name.",
            fatal=True,
        ),
        codes=(409,),
    ),
    _Pattern(
        "changed-meanwhile",
        r"Operation cannot be fulfilled|Apply failed with \d+ conflict",
        _cannot_now(
            "changed-meanwhile", text="Something else changed it at the same moment.", next_step=_TRIED_AGAIN
        ),
        codes=(409,),
    ),
    _Pattern(
        "in-the-way",
        r"updates may not change fields other than|field is immutable",
        _fixed(
            "in-the-way",
            "Something older is in the way",
            "Something with the name of this lab is already on the cluster and cannot be replaced.",
            "Launch the lab again. It will get a new name on the cluster.",
            fatal=True,
        ),
        codes=(422,),
    ),
    _Pattern(
        "malformed",
        r" is invalid: |failed to create typed patch object|failed to convert new object|cannot unmarshal|cannot be handled"
        r"|strict decoding error|error decoding",
        _set_up_wrongly("malformed", text="The cluster did not understand what it was asked to start. This is not your fault."),
        codes=(400, 422, 500),
    ),
    _Pattern(
        "too-busy",
        r"",
        _cannot_now("too-busy", text="The cluster is overloaded at the moment."),
        codes=(429,),
    ),
    _Pattern(
        "cluster-silent",
        r"",
        _fixed(
            "cluster-silent",
            "The cluster is not responding at the moment",
            "The lab has been accepted and keeps its place.",
            "No action needed: it will continue by itself.",
            fatal=False,
        ),
        codes=(0, 500, 502, 503, 504),
    ),
)  # fmt: skip


def _other(known: Facts) -> Diagnosis | None:
    error = known.error
    return unknown(error.message, fatal=isinstance(error, Rejected)) if error else None


def _line(known: Facts) -> str:
    error = known.error
    if error is None:
        return ""
    # After the first line of a refused change comes the difference, with the values of all that is changed.
    message = error.message.partition("\n")[0]
    return f"{error.code} {error.reason}: {message}" if error.code else message


RULES = (
    *(Rule(pattern.found, (pattern.cause,), _line) for pattern in PATTERNS),
    Rule(_other, ("unknown",), _line),
)
