"""Addresses of Git repositories as people paste them: of the repository itself, or of a branch, folder or file that a browser shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

EXAMPLE = "An address such as https://gitlab.example.org/you/project.git."
LONGEST = 300
#: What the web pages of GitHub, GitLab, Gitea and Bitbucket put behind the address of a repository, before a branch and a path.
BRANCH_PAGES = ("tree", "blob", "raw", "src", "edit", "blame")
#: The same for pages of something else.
OTHER_PAGES = ("commit", "commits", "pull", "merge_requests", "issues", "wiki", "releases", "archive")
RAW_HOSTS = ("raw.githubusercontent.com", "gist.githubusercontent.com")
#: What these pages ask of themselves, which says nothing of the repository.
_HARMLESS = re.compile(r"(ref_type=(heads|tags)|plain=1)?")
_BRANCH = re.compile(r"\w[\w.+@#/-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Place:
    """What is copied into a lab, and where in it the lab opens."""

    repository: str
    #: A branch or a tag; empty: the default branch.
    branch: str = ""
    #: Of a folder or a file, from the top of the repository; empty: nowhere in particular.
    path: str = ""


def clean(text: str) -> str:
    """The address in the form that is kept and that `read` takes. Raises ValueError with a sentence for the person."""
    if len(text) > LONGEST or not re.fullmatch(r"https?://[\x21-\x7e]+", text):
        raise ValueError(EXAMPLE)
    parts = urlsplit(text)
    if not parts.hostname or not parts.path.strip("/"):
        raise ValueError(EXAMPLE)
    if parts.username or parts.password:
        raise ValueError("Remove the user name, password or token from the address: others could read them.")
    path = [part for part in parts.path.split("/") if part]
    is_page = _page(path) is not None
    if not _HARMLESS.fullmatch(parts.query) or ((parts.query or parts.fragment) and not is_page):
        raise ValueError("Enter the address of the repository itself, without “?” or “#”.")
    kept = f"{parts.scheme}://{parts.netloc}/{'/'.join(path)}"
    place = read(kept)
    return kept if place.branch else place.repository


def read(address: str) -> Place:
    """What an address means. Raises ValueError with a sentence for the person: it names no repository, or something else in one."""
    parts = urlsplit(address)
    path = [part for part in parts.path.split("/") if part]
    if parts.scheme not in ("http", "https") or not path or parts.query or parts.fragment or not address.isprintable():
        raise ValueError(EXAMPLE)
    host, site = f"{parts.scheme}://{parts.netloc}", parts.netloc.lower().removeprefix("www.")
    if site == "gist.github.com":
        return Place(f"{host}/{_gist(path)}.git")
    if site in RAW_HOSTS:
        raise ValueError("This is the address of a file. Enter the address of its repository.")
    at = _page(path)
    if at is None:
        return Place(f"{host}/{'/'.join(path)}")
    whole, dash = f"{host}/{'/'.join(path[:at])}", "-/" if path[at] == "-" else ""
    branch, within = _branch_and_path(path[at + 1 :] if dash else path[at:])
    if not branch:
        raise ValueError(
            f"A lab can copy a branch or a tag, but this is the address of something else in a repository. Use {whole} for the "
            f"default branch, or {whole}/{dash}tree/ followed by the name of another branch."
        )
    return Place(whole, branch, within)


def _gist(path: list[str]) -> str:
    """With or without the person; a gist has no name but its number."""
    number = next((part for part in path[:2] if re.fullmatch(r"[0-9a-f]{20,40}(\.git)?", part)), None)
    if number is None:
        raise ValueError("The address of a gist, such as https://gist.github.com/you/0123456789abcdef0123.")
    return number.removesuffix(".git")


def _page(path: list[str]) -> int | None:
    """Where the address of the repository is over and that of a page in it begins. With ".git" at its end it is a repository,
    whatever the groups above it are called."""
    if not path or path[-1].endswith(".git"):
        return None
    pages = (*BRANCH_PAGES, *OTHER_PAGES)
    return next((at for at in range(1, len(path) - 1) if path[at] == "-" or (at > 1 and path[at] in pages)), None)


def _branch_and_path(page: list[str]) -> tuple[str, str]:
    """Of "tree", "main", "some", "folder"; two empty texts where it is no branch. A slash in a branch's name is written %2F."""
    kind, *rest = page
    if kind not in BRANCH_PAGES:
        return "", ""
    if rest[:2] in (["refs", "heads"], ["refs", "tags"]):
        rest = rest[2:]
    elif kind in ("src", "raw") and rest[:1] in (["branch"], ["tag"], ["commit"]) and len(rest) > 1:
        rest = rest[1:]  # As Gitea and Forgejo have it.
    if not rest:
        return "", ""
    branch, *within = (unquote(part) for part in rest)
    if not _BRANCH.fullmatch(branch) or ".." in branch or _COMMIT.fullmatch(branch):
        return "", ""
    if not all(part.isprintable() and part not in (".", "..") and "/" not in part for part in within):
        return "", ""
    return branch, "/".join(within)
