"""The resources that limits are set for: one table, which everything that counts, checks, asks for or shows one of them reads.

"Add a limit" in docs/developers.md says what a new row needs beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

GPU = "nvidia.com/gpu"
MINUTES = "minutes"
_PER_MINUTE = Decimal(1) / 60


@dataclass(frozen=True)
class Resource:
    """One resource. Amounts in rows and in code are whole numbers of a small unit; people read and write a larger one."""

    #: The column of `Quota`; where a launch asks for it, of `Workload`; where it is counted, of `InstanceCluster`.
    key: str
    #: The answer of a launch form that asks for it, and the column of a roster.
    name: str
    #: As a limit: the head of a column, the label of a field.
    title: str
    #: What one workload has of it, and the label of a meter; empty: the title.
    short: str = ""
    #: So many of the row's units are one of the people's.
    factor: int = 1
    #: The people's unit, of many; empty where it is a number of things.
    unit: str = ""
    #: The row's unit, for programs.
    row_unit: str = ""
    #: In a sentence behind "30 of its 32": "CPUs".
    noun: str = ""
    #: In a list of limits: "2 CPU".
    brief: str = "{}"
    help_text: str = ""
    #: The least and the most that can be set, in the row's units.
    least: int = 0
    most: int = 100_000
    #: Whether what runs is counted against it. Else it is a bound of its own, as the lifetime.
    is_counted: bool = True
    #: So many of the row's units are one of the launch form's; 0 where a launch does not ask for it.
    answer_factor: int = 0
    #: What pods ask the scheduler for, in the units of `k8s.capacity`; empty where it is nothing of a machine.
    kubernetes: str = ""
    #: The amounts of a ResourceQuota that hold a namespace to it, and the unit of the row as Kubernetes writes it.
    quota: tuple[str, ...] = ()
    suffix: str = ""
    #: Heads of such a column in people's lists, without capitals, signs and spaces; empty where no list sets it.
    heads: str = ""
    #: Units that may stand behind a number in a list: how many of the people's unit one of these is. And a number that would do.
    units: Mapping[str, Decimal | int] = field(default_factory=dict)
    example: str = ""

    @property
    def label(self) -> str:
        return self.short or self.title

    @property
    def small_title(self) -> str:
        """Within a sentence: "services at once"."""
        return self.title if self.title[1:2].isupper() else self.title.lower()

    @property
    def head(self) -> str:
        """As a limit, with its unit: "Longest lifetime (hours)"."""
        return self.with_unit(self.title)

    def with_unit(self, words: str) -> str:
        """These words as the head of a column of numbers."""
        return f"{words} ({self.unit})" if self.unit else words

    def shown(self, value: int) -> str:
        """In the people's unit, without it and without needless zeros, at most two places: 1500 thousandths of a CPU are "1.5"."""
        return number(Decimal(value) / self.factor)

    def text(self, value: int | None) -> str:
        """With its unit, for a sentence or a table; None is no limit."""
        if value is None:
            return "no limit"
        unit = self.unit.removesuffix("s") if value == self.factor else self.unit
        return f"{self.shown(value)} {unit}" if unit else self.shown(value)

    def said(self, value: int) -> str:
        """In a sentence, before the noun: "1.5"; a length of time in words: "90 minutes"."""
        return duration(value) if self.row_unit == MINUTES else self.shown(value)


def number(value: Decimal) -> str:
    """A number without needless zeros, at most two places: 4, 0.5, 1.25."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def duration(minutes: int) -> str:
    """In words: 2880 → "2 days", 240 → "4 hours", 45 → "45 minutes"; what is no whole number of hours in all units: 1435 → "23 hours
    55 minutes"."""
    if not minutes:
        return "0 minutes"
    for size, unit in ((1440, "day"), (60, "hour")):
        if minutes % size == 0:
            return _count(minutes // size, unit)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = ((days, "day"), (hours, "hour"), (rest, "minute"))
    return " ".join(_count(count, unit) for count, unit in parts if count)


def _count(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


RESOURCES = (
    Resource(
        "cpu_millis", "cpu", "CPU", factor=1000, unit="cores", row_unit="millicores", noun="CPUs", brief="{} CPU", most=10_000_000,
        answer_factor=1000, kubernetes="cpu", quota=("requests.cpu",), suffix="m",
        heads="cpu cpus cores cpucores cpuscores kerne coeurs", units=dict.fromkeys(("", "core", "cores", "cpu", "cpus"), 1),
        example="2 or 0.5",
    ),
    Resource(
        "memory_mib", "memory", "Memory", factor=1024, unit="GiB", row_unit="MiB", noun="GiB of memory", brief="{} GiB",
        most=2_000_000_000, answer_factor=1, kubernetes="memory", quota=("requests.memory", "limits.memory"), suffix="Mi",
        heads="memory ram memorygib memorygb ramgib ramgb arbeitsspeicher memoire memoria",
        units=dict.fromkeys(("", "gib", "gb", "g", "gi"), 1) | dict.fromkeys(("mib", "mb"), Decimal(1) / 1024),
        example="8 (GiB)",
    ),
    Resource(
        "gpus", "gpus", "GPUs", noun="GPUs", brief="{} GPU", answer_factor=1, kubernetes=GPU, quota=(f"requests.{GPU}",),
        heads="gpu gpus", units=dict.fromkeys(("", "gpu", "gpus"), 1), example="0 or 1",
    ),
    # Nothing asks for it yet: it holds the namespace's volumes, and no person is given a limit of it by a list.
    Resource(
        "storage_gib", "storage", "Storage", unit="GiB", row_unit="GiB", noun="GiB of storage", brief="{} GiB of storage",
        is_counted=False, quota=("requests.storage",), suffix="Gi",
    ),
    # Of workloads, not of pods, of which one may have several: no quota of a namespace can say it.
    Resource(
        "running", "running", "Services at once", short="Services", noun="services", brief="{} at once", kubernetes="pods",
        heads="running servicesatonce labsatonce runninglabs", units={"": 1}, example="2",
    ),
    Resource(
        "lifetime_minutes", "lifetime", "Longest lifetime", short="Lifetime", factor=60, unit="hours", row_unit=MINUTES, noun="hours",
        brief="{}", help_text="Extensions included.", least=1, most=527_040, is_counted=False, answer_factor=1,
        heads="lifetime longestlifetime lifetimehours lifetimeh longestlifetimehours",
        units=dict.fromkeys(("", "h", "hour", "hours"), 1) | dict.fromkeys(("d", "day", "days"), 24)
        | dict.fromkeys(("min", "minutes"), _PER_MINUTE),
        example="24 (hours)",
    ),
)  # fmt: skip
BY_KEY = {resource.key: resource for resource in RESOURCES}
BY_NAME = {resource.name: resource for resource in RESOURCES}
#: Those that a list of people can set.
LISTED = tuple(resource for resource in RESOURCES if resource.heads)
#: The columns of Quota, in the order in which they are shown.
KEYS = tuple(BY_KEY)
#: What runs is counted against these.
COUNTED = tuple(resource.key for resource in RESOURCES if resource.is_counted)
#: A launch asks for these: the columns of Workload. And those of them that are counted: sums over rows.
ASKED = tuple(resource.key for resource in RESOURCES if resource.answer_factor)
SUMMED = tuple(key for key in COUNTED if key in ASKED)
