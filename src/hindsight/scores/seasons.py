"""Seasons of three months, by which scores are split."""

import numpy as np

SEASONS = ("DJF", "MAM", "JJA", "SON")
LEAST_DAYS = 20  # a season with fewer days is not scored


def by_season(times: np.ndarray, least_days: int = LEAST_DAYS) -> dict[str, np.ndarray]:
    """Which frames (T,) belong to each season, in the order of `SEASONS`; only seasons with enough days."""
    month = times.astype("datetime64[M]").astype(int) % 12 + 1
    inside_season = {name: month % 12 // 3 == number for number, name in enumerate(SEASONS)}
    return {
        name: inside
        for name, inside in inside_season.items()
        if len(np.unique(times[inside].astype("datetime64[D]"))) >= least_days
    }
