"""One table of resources: each row has its columns, and nothing beside it lists resources by hand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.validators import MaxValueValidator
from django.db import models

from k8s.resources import ASKED, COUNTED, KEYS, RESOURCES, Resource
from labs.models import InstanceCluster, Quota, Workload

ROOT = Path(__file__).parents[2]
#: Columns stand in models and migrations; the demo and a new instance have numbers of their own.
MAY_LIST = ("k8s/resources.py", "labs/management/commands/demo.py", "labs/services/limits.py")


def columns(model: type[models.Model]) -> set[str]:
    return {field.name for field in model._meta.get_fields()}


def test_each_resource_has_its_columns() -> None:
    assert set(KEYS) <= columns(Quota)
    assert set(COUNTED) <= columns(InstanceCluster)
    # Services at once are counted by their rows.
    assert set(ASKED) | set(COUNTED) - {"running"} <= columns(Workload)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.key)
def test_the_table_allows_no_more_than_the_column(resource: Resource) -> None:
    column = Quota._meta.get_field(resource.key)
    bounds = [found.limit_value for found in column.validators if isinstance(found, MaxValueValidator)]
    assert resource.most <= min(bounds)
    assert resource.factor == 1 or resource.most in bounds, "told at the field as the column has it"


def test_each_resource_can_be_read_by_people() -> None:
    for resource in RESOURCES:
        assert resource.title
        assert resource.row_unit or resource.factor == 1
        assert not resource.heads or (resource.units and resource.example), "a list that sets it says how"
        assert bool(resource.quota) or not resource.suffix


def lists(tree: ast.AST) -> Iterator[ast.AST]:
    """Literals that name two resources or more."""
    for node in ast.walk(tree):
        items = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        named = [item for item in items if isinstance(item, ast.Constant) and item.value in KEYS]
        if isinstance(node, ast.Dict | ast.Tuple | ast.List | ast.Set) and len(named) > 1:
            yield node


def test_nothing_else_lists_resources() -> None:
    found = []
    for package in ("k8s", "labs", "accounts", "sparkjobs", "mlsite"):
        for file in sorted((ROOT / package).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            if path in MAY_LIST or "/migrations/" in path:
                continue
            found += [f"{path}:{node.lineno}" for node in lists(ast.parse(file.read_text()))]  # type: ignore[attr-defined]
    assert found == []
