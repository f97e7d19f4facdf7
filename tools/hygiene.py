"""What no file of the repository may have: blanks at the end of a line, no newline at its end, marks of a merge, great size.

`make lint` looks at all files that Git knows; the hook at those of a commit, which it passes as arguments.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: In bytes: what is larger belongs into no repository.
LARGEST = 500 * 1024
MARKS = (b"<<<<<<< ", b"||||||| ", b">>>>>>> ")
#: Begins a signature in a mail, blank included (RFC 3676, section 4.3).
SIGNATURE = b"-- "


def faults(path: Path) -> Iterator[str]:
    """What is wrong with the file, a line each. A binary file may only be too large."""
    if path.stat().st_size > LARGEST:
        yield f"{path}: larger than {LARGEST // 1024} KiB; keep it elsewhere"
        return
    content = path.read_bytes()
    if b"\0" in content or not content:
        return
    for number, line in enumerate(content.split(b"\n"), 1):
        if line != line.rstrip() and not line.endswith(SIGNATURE):
            yield f"{path}:{number}: blanks at the end of the line"
        if line.startswith(MARKS):
            yield f"{path}:{number}: a merge conflict is not resolved"
    if not content.endswith(b"\n") or content.endswith(b"\n\n"):
        yield f"{path}: must end with one newline"


def main(names: list[str]) -> int:
    """Look at these files, or at all that Git knows. 1, with the findings on standard error, if something is wrong."""
    if not names:
        listed = subprocess.run(["git", "ls-files", "-z"], stdout=subprocess.PIPE, check=False)
        if listed.returncode:
            return listed.returncode  # Git has said why.
        names = [name for name in listed.stdout.decode().split("\0") if name]
    paths = [path for path in map(Path, names) if path.is_file() and not path.is_symlink()]
    found = [fault for path in paths for fault in faults(path)]
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
