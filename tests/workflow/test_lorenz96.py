"""A ring of numbers goes through the very stages of the weather, by configuration alone, in real processes."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from hindsight import settings
from tests import shared
from tests.workflow import runs

SMALL = {
    "domain": {
        "train": {"start": "1999-01-01T00:00", "end": "2000-12-31T18:00"},
        "validation": {"start": "2001-01-01T00:00", "end": "2001-01-31T18:00"},
        "test": {"start": "2001-02-01T00:00", "end": "2001-02-15T18:00"},
    },
    "download": {"synthetic": {"start": "1999-01-01T00:00", "end": "2001-02-15T18:00", "spin_up_days": 60}},
    "train": {
        "window": 8,
        "steps": 2,
        "batch": 4,
        "validate_every": 1,
        "threads": 1,
        "backbone": {"width": 8, "blocks": 1},
        "audit": {"windows": 16},
    },
    "product": {"members": 4, "member_block": 4, "shard_frames": 60},
    "reanalyse": {"steps": 2, "halo": 4, "stride": 4, "threads": 1},
    "archive": {"chunk_frames": 60},
    "verify": {"resamples": 50},
}


def configuration():
    return yaml.safe_load((runs.ROOT / "config/lorenz96.yaml").read_text())


def one_network() -> dict:
    """`config/lorenz96.yaml`, shortened, with one of its networks."""
    config = runs.merged(configuration(), SMALL)
    config["observe"]["networks"] = {"every2": config["observe"]["networks"]["every2"]}
    config["archive"]["network"] = "every2"
    return config


def whole():
    """The folder of a whole run, made once for all tests, which leave it as it is: Snakemake and every step for real."""
    return shared.once("ring", lambda folder: runs.snakemake(folder, one_network(), real=True))


@pytest.fixture(scope="module")
def made():
    return whole()


def test_the_archive_is_whole_and_is_a_ring(made):
    assert json.loads((made / "results/lorenz96/archive/check.json").read_text())["complete"]
    archive = xr.open_zarr(made / "results/lorenz96/archive/reanalysis.zarr")
    assert dict(archive.sizes) == {"realization": 4, "time": 60, "latitude": 1, "longitude": 40}
    assert archive["x"].attrs["units"] == "1" and "standard_name" not in archive["x"].attrs
    np.testing.assert_array_equal(archive["longitude"], np.arange(0, 360, 9.0))


def test_the_page_of_the_archive_has_the_ring(made):
    text = (made / "results/lorenz96/archive/explore.html").read_text()
    assert "all 60 frames, and all points" in text and "20 stations" in text and len(text) < 5e6


def test_the_configuration_observes_all_half_and_a_quarter_with_unit_errors():
    networks = settings.read(configuration()).observe.networks
    assert [(spec.kind, spec.every, spec.error, spec.withheld) for spec in networks.values()] == [
        ("regular", every, 1.0, 0.0) for every in (1, 2, 4)
    ]


def test_observations_have_unit_error_at_the_places_asked_for(made):
    fields = xr.open_zarr(made / "results/lorenz96/preprocess/fields.zarr", consolidated=False)["fields"]
    table = pd.read_parquet(made / "results/lorenz96/observe/every2/20010201T00.parquet")
    assert sorted(table["longitude"].unique()) == [9.0 + 18 * k for k in range(20)] and not table["withheld"].any()
    at = {d: xr.DataArray(table[d].to_numpy(), dims="row") for d in ("time", "longitude")}
    wrong = table["value"].to_numpy() - fields.sel(channel="x", latitude=0).sel(at).values
    assert (table["error"] == 1).all() and len(wrong) == 60 * 20
    assert abs(wrong.std() - 1) < 5 / np.sqrt(2 * len(wrong)) and abs(wrong.mean()) < 5 / np.sqrt(len(wrong))


def test_without_withheld_stations_nothing_is_scored_at_them(made):
    scores = xr.open_dataset(made / "results/lorenz96/verify/scores.nc")
    assert scores["region"].values.tolist() == ["everywhere"] and scores["score"].notnull().all()
    rmse = scores["score"].sel(metric="rmse", network="every2", channel="x")
    assert 1 < rmse.sel(analysis="optimal_interpolation") < rmse.sel(analysis="climatology") < 6


def test_the_report_draws_time_and_longitude_and_no_map(made):
    text = (made / "results/lorenz96/verify/report.html").read_text()
    titles = re.findall(r'<h2 id="s\d+">(.*?)</h2>', text)
    assert titles[:2] == ["Time and longitude", "Where the errors are"] and "At a station" in titles
    assert not {"The storm", "Every channel", "Error against distance"} & {*titles}
    assert "20 stations used; errors 1 (x)" in text and "1 × 40 points, at 0°, all longitudes" in text
    assert "The truth is a model" in text and not re.search(r">\s*nan", text)
