"""Simulated observing networks, their observations, and the usage of observations."""
