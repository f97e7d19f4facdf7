"""The check of `make lint` for ends of lines and files, marks of merges and large files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import hygiene

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"one\ntwo\n", []),
        (b"", []),
        (b"Regards\n-- \nThe staff\n", []),
        (b"\x89PNG \n\0\n\n", []),
        (b"one \ntwo\n", [":1: blanks at the end of the line"]),
        (b"one\r\n", [":1: blanks at the end of the line"]),
        (b"one\n" + b"<" * 7 + b" HEAD\n", [":2: a merge conflict is not resolved"]),
        (b"one", [": must end with one newline"]),
        (b"one\n\n", [": must end with one newline"]),
        (b"x" * (hygiene.LARGEST + 1), [": larger than 500 KiB; keep it elsewhere"]),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_its_line(tmp_path: Path, content: bytes, said: list[str]) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert list(hygiene.faults(path)) == [f"{path}{words}" for words in said]


def test_a_fault_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file"
    path.write_text("one\n")
    assert hygiene.main([str(path)]) == 0
    path.write_text("one")
    assert hygiene.main([str(path)]) == 1
    assert capsys.readouterr().err == f"{path}: must end with one newline\n"


def test_all_files_of_the_repository_are_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no Git checkout")
    monkeypatch.chdir(ROOT)
    assert hygiene.main([]) == 0
