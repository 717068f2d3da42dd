"""Scores to draw and print."""

import numpy as np
import pytest
import xarray as xr

from hindsight.scores import distance, seams
from hindsight.scores.ensemble import METRICS


@pytest.fixture
def scores():
    generator = np.random.default_rng(0)
    sizes = {
        "network": ["dense", "sparse"],
        "analysis": ["climatology", "diffusion", "optimal_interpolation"],
        "metric": list(METRICS),
        "channel": ["z500", "msl"],
        "region": ["everywhere", "withheld observations"],
        "season": ["DJF", "MAM"],
        "compared": ["rmse", "crps"],
        "quantity": ["rmse", "spread"],
        "measure": list(seams.MEASURES),
        "kind": ["truth", "mean", "member"],
    }
    plain = {"rank": 5, "latitude": 4, "longitude": 6, "wavenumber": 4, "distance": distance.BINS}
    make = lambda *dims: (dims, generator.uniform(0.5, 1.5, [len(sizes[d]) if d in sizes else plain[d] for d in dims]))
    four = ("network", "analysis", "metric", "channel")
    data = {name: make(*four) for name in ("score", "lower", "upper")}
    for name in ("score", "lower", "upper"):
        data[f"regional_{name}"] = make(*four, "region")
        data[f"seasonal_{name}"] = make(*four, "season")
        data[f"distance_{name}"] = make("network", "analysis", "quantity", "distance", "channel")
    for end in ("", "_lower", "_upper"):
        data[f"ratio{end}"] = make("network", "analysis", "compared", "channel")
        data[f"seasonal_ratio{end}"] = make("network", "analysis", "compared", "channel", "season")
    data |= {f"seam_{name}": make("network", "analysis", "measure", "channel") for name in ("ratio", "lower", "upper")}
    data |= {
        name: make("network", "analysis", "channel", "latitude", "longitude") for name in ("rmse_map", "spread_map")
    }
    data["distance_edge"] = ("network", "limit"), np.outer([100.0, 250.0], np.arange(distance.BINS + 1))
    data["rank_histogram"] = make("network", "analysis", "channel", "rank")
    data["power"] = make("network", "analysis", "kind", "channel", "wavenumber")
    found = xr.Dataset(
        data,
        coords=sizes,
        attrs={"period": "2009 to 2010", "members": 4, "antithetic": 0, "baseline": "optimal_interpolation"},
    )
    return found.assign_coords(units=("channel", ["m2 s-2", "Pa"]))
