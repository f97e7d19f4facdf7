"""The README keeps up with the code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_every_setting_stands_in_the_table() -> None:
    read = set()
    for path in (ROOT / "mlsite").glob("*.py"):
        called = r"env\.(?:text|flag|numbers?|words|choice)\(\s*f?\"({prefix})?([A-Z_]+)\""
        # Those of a provider begin with its name, for which the README writes NAME.
        read |= {("SIGN_IN_NAME" if prefix else "") + name for prefix, name in re.findall(called, path.read_text())}
    cells = re.findall(r"^\| (`[A-Z_`, ]+`) \|", README, re.MULTILINE)
    assert read == {name for cell in cells for name in re.findall(r"[A-Z_]+", cell)}


def test_every_target_it_names_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z0-9-]+)", README)) <= targets


def test_every_document_it_links_is_there() -> None:
    for link in re.findall(r"\]\((docs/[a-z]+\.md)\)", README):
        assert (ROOT / link).is_file()
