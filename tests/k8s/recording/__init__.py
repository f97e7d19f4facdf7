"""Situations provoked on a living cluster, for the recordings of the diagnosis and for its live test."""
