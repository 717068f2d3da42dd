"""Rain goes through every stage by configuration alone: built-in showers, and composites with points beyond the radars."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from hindsight.fields.grid import Grid
from tests.download.radar import radar_files
from tests.workflow import runs

SMALL = {
    "train": {
        "window": 4,
        "steps": 3,
        "batch": 2,
        "validate_every": 2,
        "precision": "float32",
        "keep": "last",
        "backbone": {"width": 8, "multipliers": [1], "blocks": 1},
    },
    "product": {"members": 4, "member_block": 4, "shard_frames": 12},
    "reanalyse": {"steps": 3, "halo": 2, "threads": 1},
    "archive": {"chunk_frames": 12},
    "verify": {"resamples": 50},
}
SHOWERS = {
    "domain": {
        "train": {"start": "2010-08-01T00:00", "end": "2010-08-01T11:55"},
        "validation": {"start": "2010-08-01T14:00", "end": "2010-08-01T15:55"},
        "test": {"start": "2010-08-01T18:00", "end": "2010-08-01T19:55"},
    },
    "download": {"synthetic": {"end": "2010-08-01T19:55", "rain": {"points": 16}}},
}
ROWS, COLUMNS, FRAMES = 24, 20, 60
RADAR = {
    "run": "small",
    "domain": {
        "train": {"start": "2010-08-26T00:05", "end": "2010-08-26T02:30"},
        "validation": {"start": "2010-08-26T02:35", "end": "2010-08-26T03:00"},
        "test": {"start": "2010-08-26T03:05", "end": "2010-08-26T05:00"},
    },
    "download": {
        "dataset": "small",
        "missing_points": 0.1,
        "missing": [{"start": "2010-08-26T04:50", "end": "2010-08-26T05:00"}],
        "radar": {"files": ["*.h5"], "average": 2, "rectangle": None},
        "minimum_free_gb": 0,
    },
    "observe": {"networks": {"sparse10": {"share": 0.3}}},
    "train": {"linear_prior": {"basis": "empirical", "coupled_modes": 8}},
}


def configuration(name, **changes):
    whole = yaml.safe_load((runs.ROOT / f"config/{name}.yaml").read_text())
    return runs.merged(runs.merged(whole, SMALL), changes)


@pytest.mark.parametrize(("words", "chosen"), [([], "showers"), (["DATA=elsewhere"], "rain")])
def test_make_rain_takes_the_radar_where_it_is_given_data_and_else_the_showers(words, chosen):
    command = ["make", "--dry-run", "--old-file=.venv/installed", "rain", *words]
    own = {name: value for name, value in runs.environment().items() if name not in ("DATA", "MAKEFLAGS", "MAKELEVEL")}
    text = subprocess.run(command, cwd=runs.ROOT, env=own, capture_output=True, text=True, check=True).stdout
    assert f"--configfile config/{chosen}.yaml" in text and f"results/{chosen}/verify/scores.nc" in text
    assert ("data=elsewhere" in text) == bool(words) and ("data=" in text) == bool(words)


def test_a_dry_run_of_rain_from_radar_names_every_stage(tmp_path):
    (tmp_path / "radar_knmi_20100826").mkdir()
    radar_files.knmi(tmp_path / "radar_knmi_20100826/one.h5", np.zeros((12, 10), int))
    whole = yaml.safe_load((runs.ROOT / "config/rain.yaml").read_text()) | {"data": str(tmp_path)}
    done = runs.executed(runs.snakemake(tmp_path / "run", whole, "--dry-run").stdout)
    assert {"composites", "radar", "manifest", "regrid", "simulate", "prior", "shard", "baseline", "compare", "explore"} <= done


@pytest.fixture(scope="module")
def showers(tmp_path_factory):
    """The folder of a whole run of the built-in showers."""
    folder = tmp_path_factory.mktemp("showers")
    runs.snakemake(folder, configuration("showers", **SHOWERS))
    return folder / "results/showers"


@pytest.fixture(scope="module")
def radar(tmp_path_factory):
    """The folder of a whole run of composites of which a wedge is beyond the radars, and grows in the last frames."""
    folder, data = tmp_path_factory.mktemp("radar"), tmp_path_factory.mktemp("composites")
    for frame in range(FRAMES):
        radar_files.knmi(data / f"{frame:02d}.h5", composite(frame), str(np.datetime64("2010-08-26T00:05") + 5 * frame))
    changes = runs.merged(RADAR, {"data": str(data), "domain": {"latitude_edges": "open", "longitude_edges": "open"}})
    runs.snakemake(folder, configuration("rain", **changes))
    return folder / "results/small"


def composite(frame):
    """A shower that moves to the east, in steps of 0.01 mm in 5 minutes; the upper left corner is never seen."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    away = np.minimum((column - frame) % COLUMNS, (frame - column) % COLUMNS) ** 2 + (row - 14) ** 2
    pixels = np.rint(100 * np.exp(-away / 20.0)).astype(int) + np.random.default_rng(frame).integers(0, 3, away.shape)
    pixels[row + column < (10 if frame < 57 else 12)] = 65535
    return pixels


@pytest.mark.slow
def test_the_archive_of_showers_is_whole_and_no_member_has_negative_rain_or_drizzle(showers):
    assert json.loads((showers / "archive/check.json").read_text())["complete"]
    archive = xr.open_zarr(showers / "archive/reanalysis.zarr")
    assert dict(archive.sizes) == {"realization": 4, "time": 24, "latitude": 16, "longitude": 16}
    values, times = archive["rain"].values, archive["time"].values
    assert ((values == 0) | (values > 0.099)).all() and 0.05 < (values > 0).mean() < 0.9
    assert (np.diff(times) == np.timedelta64(5, "m")).all() and times[0] == np.datetime64("2010-08-01T18:00")
    assert archive["rain"].attrs["units"] == "mm h-1" and archive["rain"].attrs["standard_name"] == "rainfall_rate"


@pytest.mark.slow
def test_the_report_of_showers_scores_events_and_ranks_of_dry_points(showers):
    found = xr.open_dataset(showers / "verify/scores.nc")
    assert found["event"].values.tolist() == ["rain ≥ 0.1 mm h⁻¹", "rain ≥ 1 mm h⁻¹"]
    assert float(found["csi_score"].sel(analysis="diffusion").min()) > 0
    ranks = found["rank_histogram"].sel(analysis="diffusion").values.ravel()
    assert np.isclose(ranks.sum(), 1) and (ranks > 0).all()  # dry points are shared among all ranks
    text = (showers / "verify/report.html").read_text()
    assert "Critical success index" in text


@pytest.mark.slow
def test_points_beyond_the_radars_are_masked_from_the_manifest_to_the_archive(radar):
    """Squares of two by two points with a point that is never seen are not covered. Those that the wedge reaches in the
    last three frames alone, a twentieth of all, are covered, and these frames are missing."""
    row, column = np.mgrid[:12, :10]
    covered = (2 * row + 2 * column >= 10)[::-1]
    manifest = json.loads((radar / "download/manifest.json").read_text())
    assert manifest["uncovered"]["points"] == (~covered).sum()
    assert manifest["masked"] == [f"2010-08-26T{clock}:00" for clock in ("04:50", "04:55", "05:00")]
    fields = xr.open_zarr(radar / "preprocess/fields.zarr", consolidated=False)
    np.testing.assert_array_equal(Grid.of(fields).covered, covered)
    available = fields["fields"].values[fields["available"].values, 0]
    assert len(available) == FRAMES - 3 and (available[:, ~covered] == 0).all() and np.isfinite(available).all()
    archive = xr.open_zarr(radar / "archive/reanalysis.zarr")
    for group in ("", "mean", "spread"):
        values = xr.open_zarr(radar / "archive/reanalysis.zarr", group=group or None)["rain"].values
        np.testing.assert_array_equal(np.isfinite(values), np.broadcast_to(covered, values.shape))
    assert "true_latitude" in archive and json.loads((radar / "archive/check.json").read_text())["complete"]
    table = pd.concat(map(pd.read_parquet, (radar / "observe/sparse10").glob("*.parquet")))
    row = np.abs(table["latitude"].to_numpy()[:, None] - fields["latitude"].values).argmin(1)
    column = np.abs(table["longitude"].to_numpy()[:, None] - fields["longitude"].values).argmin(1)
    assert covered[row, column].all() and len(np.unique(row * 10 + column)) == round(0.3 * covered.sum() / 0.8)
    scores = xr.open_dataset(radar / "verify/scores.nc")
    assert np.isfinite(scores["score"].sel(metric=["rmse", "crps", "spread"])).all()
