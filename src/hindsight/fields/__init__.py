"""Data shared by all stages: grids, stores, observations, scaling, time."""
