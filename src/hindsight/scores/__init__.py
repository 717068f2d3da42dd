"""Scores: statistics of every frame, their weighted mean, and the score as a function of it."""
