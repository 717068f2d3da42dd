"""Observation operators: from fields to observations."""
