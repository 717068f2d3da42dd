"""What the files hold: grids, stores, observations, scaling, calendar."""
