"""Pure: how far the start of a workload has got."""

from dataclasses import dataclass
from datetime import datetime

from k8s.diagnosis.facts import Container, Facts, parse_time
from k8s.diagnosis.says import Diagnosis
from k8s.diagnosis.story import fetched


@dataclass(frozen=True)
class Step:
    """One step of a start. `state`: done, now, todo or failed. `at`: when it was done. `note`: one more word, or ""."""

    title: str
    state: str
    at: datetime | None = None
    note: str = ""


@dataclass(frozen=True)
class _Stage:
    title: str
    done: bool
    at: datetime | None = None
    note: str = ""


def steps(known: Facts, accepted_at: datetime, found: Diagnosis | None) -> list[Step]:
    """The steps in their order. `found`: what is wrong; it is told at the step that is under way."""
    stages = [_Stage("Accepted", True, accepted_at), *_stages(known)]
    last = max(number for number, stage in enumerate(stages) if stage.done)
    made = []
    for number, stage in enumerate(stages):
        if number <= last:  # What comes later is done, so this is too, whether or not it was seen.
            # The cluster's clock counts in whole seconds, and is not ours.
            made.append(Step(stage.title, "done", max(stage.at, accepted_at) if stage.at else None, stage.note))
        elif number == last + 1:
            state = "failed" if found and found.fatal else "now"
            made.append(Step(stage.title, state, None, found.title if found else stage.note))
        else:
            made.append(Step(stage.title, "todo"))
    return made


def _stages(known: Facts) -> list[_Stage]:
    placed, main = known.condition("PodScheduled"), known.main
    stages = [
        _Stage("Placed on a machine", placed.get("status") == "True", parse_time(placed.get("lastTransitionTime")))
    ]
    stages += [_copying(container) for container in known.containers if container.is_init]
    stages.append(_fetching(known, main))
    began = main.running_since or parse_time(main.ended.get("startedAt"))
    stages.append(_Stage("Starting JupyterLab", main.has_started, began))
    ready = known.condition("Ready")
    stages.append(
        _Stage(
            "Answering",
            known.is_ready,
            parse_time(ready.get("lastTransitionTime")),
            "" if known.is_ready else "Waiting for its first response",
        )
    )
    return stages


def _copying(container: Container) -> _Stage:
    done = container.is_over and container.ended.get("exitCode") == 0
    return _Stage("Copying the repository", done, parse_time(container.ended.get("finishedAt")))


def _fetching(known: Facts, main: Container) -> _Stage:
    said = next(
        (e for e in reversed(known.events) if e.reason == "Pulled" and main.image and main.image in e.message), None
    )
    note = (
        "" if said is None else "It was already there" if "already present" in said.message else fetched(said.message)
    )
    return _Stage(
        f"Downloading the image {main.image}".rstrip(), bool(said) or main.has_started, said.at if said else None, note
    )
