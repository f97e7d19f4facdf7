"""The console's pages about people."""

from . import memberships, people

__all__ = ["memberships", "people"]
