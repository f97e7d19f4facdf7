import random
import re
import uuid

import pytest

from k8s import names

UID = uuid.UUID("5c0ffee5-0000-4000-8000-000000000001")
ODD = [
    "",
    "-",
    "123",
    "true",
    "a.b",
    "a-b",
    "A B",
    "Übung №1",
    "日本語",
    "-x-",
    "x" * 300,
    "a--b",
    "../..",
    "\x00",
    "’; DROP",
    "é" * 90,
]


@pytest.mark.parametrize("name", ODD)
def test_object_name_is_valid_for_any_input(name: str) -> None:
    made = names.object_name(name, UID)
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", made)
    assert len(made) <= 50
    assert made.endswith("-5c0ffee5")


def test_object_name_is_valid_for_random_input() -> None:
    chance = random.Random(7)
    for _ in range(2000):
        name = "".join(
            chr(chance.choice([chance.randrange(32, 127), chance.randrange(0x110000)]))
            for _ in range(chance.randrange(60))
        )
        made = names.object_name(name, uuid.UUID(int=chance.getrandbits(128)))
        assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", made)
        assert len(made) <= 50


def test_object_name_keeps_what_can_be_read() -> None:
    assert names.object_name("My Lab", UID) == "my-lab-5c0ffee5"
    assert names.object_name("Übung 3", UID) == "ubung-3-5c0ffee5"
    assert names.object_name("日本語", UID) == "lab-5c0ffee5"


def test_names_that_look_alike_do_not_collide() -> None:
    assert names.object_name("a.b", UID) != names.object_name("a-b", uuid.uuid4())


@pytest.mark.parametrize("name", ["a", "lab-1", "a1", "x" * 40, "my-long-name-with-4-parts", "a--b"])
def test_good_host_label_passes(name: str) -> None:
    assert names.check_host_label(name) is None


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("", "enter a name"),
        ("x" * 41, "at most 40"),
        ("Lab", "lower-case letters"),
        ("my lab", "a to z"),
        ("a.b", "a to z"),
        ("läb", "a to z"),
        ("lab\n", "a to z"),
        ("1lab", "must start with a letter"),
        ("-lab", "must start with a letter"),
        ("lab-", "end with a hyphen"),
        ("xn--lab", "third and fourth"),
        ("www", "reserved"),
        ("admin", "reserved"),
        ("api", "reserved"),
        ("mail", "reserved"),
        ("login", "reserved"),
    ],
)
def test_bad_host_label_is_explained(name: str, word: str) -> None:
    said = names.check_host_label(name)
    assert said is not None
    assert word in said


def test_reserved_names_would_be_valid_otherwise() -> None:
    for name in names.RESERVED:
        assert "reserved" in (names.check_host_label(name) or "")


@pytest.mark.parametrize("name", [*ODD, *sorted(names.RESERVED)])
def test_suggestion_is_valid_and_free(name: str) -> None:
    taken: set[str] = set()
    for _ in range(40):
        made = names.suggest(name, taken)
        assert names.check_host_label(made) is None
        assert made not in taken
        taken.add(made)


def test_suggestion_is_near_what_was_typed() -> None:
    assert names.suggest("My Lab", set()) == "my-lab"
    assert names.suggest("my-lab", {"my-lab", "my-lab-2"}) == "my-lab-3"
    assert names.suggest("my-lab", lambda name: name == "my-lab") == "my-lab-2"
    assert names.suggest("www", set()) == "www-2"
