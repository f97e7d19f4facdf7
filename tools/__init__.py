"""What `make` runs: set-up, the supervisor, and their checks."""
