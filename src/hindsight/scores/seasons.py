"""Seasons of three months, by which scores are split."""

import numpy as np

SEASONS = ("DJF", "MAM", "JJA", "SON")
LEAST_DAYS = 20  # of a season below which it is not scored


def by_season(times: np.ndarray, least_days: int = LEAST_DAYS) -> dict[str, np.ndarray]:
    """The seasons with frames on enough days, in the order of `SEASONS`, each with which frames (T,) are its own."""
    month = times.astype("datetime64[M]").astype(int) % 12 + 1
    found = {name: month % 12 // 3 == number for number, name in enumerate(SEASONS)}
    return {
        name: inside
        for name, inside in found.items()
        if len(np.unique(times[inside].astype("datetime64[D]"))) >= least_days
    }
