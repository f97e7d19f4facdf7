"""The console's pages about people."""

from . import letters, mails, memberships, people, wordings

__all__ = ["letters", "mails", "memberships", "people", "wordings"]
