"""What `.importlinter` cannot say of the product: no modules import each other in a circle, and every module stands on a floor.

As a program, `python -m tools.floors` names what is wrong and ends with 1. Imports inside functions count, for they only hide a circle;
those under TYPE_CHECKING do not, for no program runs them.
"""

from __future__ import annotations

import configparser
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

from tools.output import say

PRODUCT = ("mlsite", "accounts", "labs", "sparkjobs", "k8s")
CONTRACTS = Path(__file__).resolve().parent.parent / ".importlinter"
#: What each module imports.
Imports = Mapping[str, Collection[str]]


def imports(packages: Iterable[str] = PRODUCT) -> Imports:
    """Of every module of these packages, by its whole name, the modules among them that it imports."""
    graph = grimp.build_graph(*packages, exclude_type_checking_imports=True, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def circle(graph: Imports) -> list[str]:
    """The first circle that is found: each module imports the next, and the last is the first again. Empty when there is none."""
    try:
        TopologicalSorter({module: sorted(graph[module]) for module in sorted(graph)}).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def floors(contracts: Path = CONTRACTS) -> list[str]:
    """The modules and packages that the contract `floors` names."""
    config = configparser.ConfigParser()
    config.read(contracts)
    return re.findall(r"[\w.]+", config["importlinter:contract:floors"]["layers"])


def homeless(graph: Imports, floors: Collection[str]) -> list[str]:
    """Modules that stand on no floor. A package whose parts stand on several needs none, as long as it imports nothing itself."""

    def stands(module: str) -> bool:
        return any(f"{module}.".startswith(f"{floor}.") for floor in floors)

    def is_shell(module: str) -> bool:
        return not graph[module] and any(floor.startswith(f"{module}.") for floor in floors)

    return sorted(module for module in graph if not stands(module) and not is_shell(module))


def faults(graph: Imports, floors: Collection[str]) -> list[str]:
    """What is wrong, each in one line that says what to do."""
    found = [
        f"{module} stands on no floor. Add it to the contract `floors` in .importlinter."
        for module in homeless(graph, floors)
    ]
    if around := circle(graph):
        found.append(
            f"Modules import each other in a circle: {' -> '.join(around)}. Move what both need to a floor below."
        )
    return found


def main() -> int:
    found = faults(imports(), floors())
    say("\n".join(found or ["Every module stands on a floor, and no modules import each other in a circle."]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
