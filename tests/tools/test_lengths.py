"""The check of `make lint` for functions and modules that are too long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import lengths

ROOT = Path(__file__).resolve().parents[2]


def function(lines: int, *, head: str = "") -> str:
    """A function of `lines` lines; `head` stands before its first statement and is not counted in."""
    return "@cache\ndef f():\n" + head + "    x = 1\n" * (lines - 1)


def test_a_function_may_have_40_lines_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(function(40))
    assert not list(lengths.too_long(path))
    path.write_text(function(41))
    assert list(lengths.too_long(path)) == [f"{path}:2: f has 41 lines; split it, the limit is 40"]


def test_docstring_and_comments_of_a_function_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(function(40, head='    """First.\n\n    # Last.\n    """\n    # Why.\n'))
    assert not list(lengths.too_long(path))


def test_a_module_may_have_400_lines_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("x = 1\n" * 400)
    assert not list(lengths.too_long(path))
    path.write_text("x = 1\n" * 401)
    assert list(lengths.too_long(path)) == [f"{path}: the module has 401 lines; split it, the limit is 400"]


def test_migrations_may_be_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_initial.py").write_text(function(41))
    assert lengths.main([str(tmp_path)]) == 0
    (tmp_path / "views.py").write_text(function(41))
    assert lengths.main([str(tmp_path)]) == 1
    assert "views.py:2: f has 41 lines" in capsys.readouterr().err


def test_nothing_in_the_product_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert lengths.main([]) == 0
