"""Circles of imports and modules without a floor are found and named."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tools import floors

FLOORS = ["site", "app.services", "app.models"]


def test_a_circle_is_named_in_the_order_of_its_imports() -> None:
    graph = {"app.a": {"app.b"}, "app.b": {"app.c"}, "app.c": {"app.a", "app.d"}, "app.d": set(), "app.e": {"app.a"}}
    around = floors.circle(graph)
    assert around[0] == around[-1]
    assert set(around) == {"app.a", "app.b", "app.c"}
    assert all(imported in graph[module] for module, imported in itertools.pairwise(around))


def test_two_ways_to_one_module_are_no_circle() -> None:
    assert floors.circle({"app.a": {"app.b", "app.c"}, "app.b": {"app.d"}, "app.c": {"app.d"}, "app.d": set()}) == []


def test_imports_inside_functions_count_and_those_for_types_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "made_up_house"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "hidden.py").write_text("def late():\n    from made_up_house import plain\n")
    (package / "plain.py").write_text("from made_up_house import hidden\n")
    (package / "typed.py").write_text("import made_up_house.user\n")
    (package / "user.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import made_up_house.typed\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    graph = floors.imports(["made_up_house"])
    assert set(floors.circle(graph)) == {"made_up_house.hidden", "made_up_house.plain"}
    assert graph["made_up_house.typed"] == {"made_up_house.user"}
    assert graph["made_up_house.user"] == set()


def test_a_module_stands_on_a_floor_when_it_or_a_package_around_it_is_named() -> None:
    graph = {
        "app": set(),
        "app.models": set(),
        "app.models.person": set(),
        "app.services.mail": {"app.models"},
        "site": set(),
    }
    assert floors.homeless(graph, FLOORS) == []
    assert floors.homeless({**graph, "app.servicesque": set(), "app": {"app.models"}}, FLOORS) == [
        "app",
        "app.servicesque",
    ]


def test_what_is_wrong_says_what_to_do() -> None:
    found = floors.faults({"app.models": {"app.other"}, "app.other": {"app.models"}}, FLOORS)
    assert found[0] == "app.other stands on no floor. Add it to the contract `floors` in .importlinter."
    assert "app.models -> app.other -> app.models" in found[1] or "app.other -> app.models -> app.other" in found[1]


def test_the_floors_of_the_product_are_read_from_its_contract() -> None:
    read = floors.floors()
    assert read[0] == "mlsite"
    assert read[-1] == "k8s"
    assert {"labs.services", "accounts.rules", "labs.models"} <= set(read)
