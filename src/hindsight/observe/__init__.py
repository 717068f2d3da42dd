"""Observation tables: where, when, what, and how wrong."""
