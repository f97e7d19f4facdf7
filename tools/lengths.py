"""Names each function and each module of the product that is too long to be read at once. `make lint` runs it."""

import ast
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("mlsite", "accounts", "labs", "sparkjobs", "k8s")
#: Lines that a function may have without its docstring and its comments, and that a module may have with everything.
FUNCTION_LINES, MODULE_LINES = 40, 400


def too_long(path: Path) -> Iterator[str]:
    """A line for the module `path` if it is too long, and one for each function in it that is.

    A function counts from its `def` to its end, with blank lines and with the functions inside it; decorators do not count.
    """
    with tokenize.open(path) as file:
        lines = file.readlines()
    comments = {number for number, line in enumerate(lines, 1) if line.lstrip().startswith("#")}
    if len(lines) > MODULE_LINES:
        yield f"{path}: the module has {len(lines)} lines; split it, the limit is {MODULE_LINES}"
    for node in ast.walk(ast.parse("".join(lines), str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            left_out = comments | _docstring(node)
            count = len(set(_span(node)) - left_out)
            if count > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {count} lines; split it, the limit is {FUNCTION_LINES}"


def _docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[int]:
    return set() if ast.get_docstring(node) is None else set(_span(node.body[0]))


def _span(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def main(folders: list[str]) -> int:
    """Look at `folders`, by default the product's packages. 1, with the findings on standard error, if something is too long."""
    files = sorted(path for folder in folders or PACKAGES for path in Path(folder).rglob("*.py"))
    found = [finding for path in files if "migrations" not in path.parts for finding in too_long(path)]
    sys.stderr.writelines(f"{finding}\n" for finding in found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
