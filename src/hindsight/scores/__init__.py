"""Scores: a statistic of every frame, then a weighted mean, then the score."""
