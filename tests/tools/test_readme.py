"""README, docs/ and the other papers keep up with the code and with each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.test import Client

import mlsite

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAPERS = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
#: So many lines are in view at once.
ONE_SCREEN = 45


def anchor(title: str) -> str:
    """As the sites that show Markdown make it from a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def headings(paper: Path, level: str = "#+") -> list[str]:
    return re.findall(rf"^{level} (.+)$", paper.read_text(), re.MULTILINE)


def name(paper: Path) -> str:
    return str(paper.relative_to(ROOT))


def test_every_setting_stands_in_the_table() -> None:
    read = set()
    for path in (ROOT / "mlsite").glob("*.py"):
        called = r"env\.(?:text|flag|numbers?|words|choice)\(\s*f?\"({prefix})?([A-Z_]+)\""
        # Those of a provider begin with its name, for which the table writes NAME.
        read |= {("SIGN_IN_NAME" if prefix else "") + name for prefix, name in re.findall(called, path.read_text())}
    cells = re.findall(r"^\| (`[A-Z_`, ]+`) \|", (DOCS / "operators.md").read_text(), re.MULTILINE)
    assert read == {name for cell in cells for name in re.findall(r"[A-Z_]+", cell)}


def test_every_target_it_names_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for paper in PAPERS:
        named = re.findall(r"(?:`|^    )make ([a-z0-9-]+)", paper.read_text(), re.MULTILINE)
        assert set(named) <= targets, name(paper)


def test_every_document_it_links_is_there() -> None:
    for paper in PAPERS:
        for link in re.findall(r"(?:\]\(|src=\")([^):\"]+)[)\"]", paper.read_text()):
            path, _, place = link.partition("#")
            target = (paper.parent / path).resolve() if path else paper
            assert target.is_file(), f"{name(paper)}: {link}"
            assert not place or place in map(anchor, headings(target)), f"{name(paper)}: {link}"


def test_readme_is_one_screen_and_leads_to_every_document() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= ONE_SCREEN
    assert [name(paper) for paper in PAPERS if name(paper) not in text and paper.name != "README.md"] == []


@pytest.mark.parametrize("title", ["architecture", "developers", "members", "operators", "staff"])
def test_the_table_of_contents_has_the_sections(title: str) -> None:
    paper = DOCS / f"{title}.md"
    before = paper.read_text().partition("\n## ")[0]
    sections = headings(paper, "##")
    assert re.findall(r"^- \[(.+)\]\(#(.+)\)$", before, re.MULTILINE) == [(title, anchor(title)) for title in sections]


def test_the_modules_that_the_developers_guide_names_are_there() -> None:
    text = (DOCS / "developers.md").read_text()
    named = re.findall(r"`((?:accounts|labs|k8s|mlsite|templates|tests|tools)/[\w./]+)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_version_is_that_of_the_newest_entry_of_the_changelog(client: Client) -> None:
    versions = re.findall(r"^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == mlsite.__version__
    assert f"Version {mlsite.__version__}" in client.get("/about/").text


def test_no_message_sends_operators_to_the_readme() -> None:
    """Settings and clusters are in docs/operators.md."""
    code = [path for folder in ("mlsite", "accounts", "labs", "k8s", "tools") for path in (ROOT / folder).rglob("*.py")]
    assert [name(path) for path in code if "README" in path.read_text()] == []
