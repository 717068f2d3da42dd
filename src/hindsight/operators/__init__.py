"""From fields to observations."""
