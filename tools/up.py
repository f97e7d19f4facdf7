"""`make run` and `make test`, up to where the virtual environment takes over.

Run by the system's Python, so standard library only; and until the version has been looked at, nothing that an old
Python could not read, be it a Python 2.
"""

import sys

OLDEST = (3, 11)


def main(arguments):  # type: (list) -> int
    """Set up what is missing and go on in the environment; 2 and one line on standard error when that is not possible."""
    if sys.version_info[:2] < OLDEST:
        found = ".".join(str(part) for part in sys.version_info[:3])
        needed = "Python 3.11 or newer is required; " + sys.executable + " is " + found
        sys.stderr.write(needed + ". Choose another: make run PYTHON=python3.11\n")
        return 2
    from tools import steps

    return steps.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
