"""Spark jobs on the foundations of `labs`."""
