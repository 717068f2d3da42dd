"""From fields to a prior."""
