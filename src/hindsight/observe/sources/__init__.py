"""Readers of observation files: one module a format, whose `read(path)` returns reports (`reports.COLUMNS`)."""
