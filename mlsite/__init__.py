"""The site itself. Its version stands here and nowhere else; CHANGELOG.md says what each one brings."""

__version__ = "0.1.0"
