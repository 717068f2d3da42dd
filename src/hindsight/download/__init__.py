"""Fetch a source as it is: one module a source."""
