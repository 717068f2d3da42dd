"""Turbulence on a square goes through the very stages of the weather, by configuration alone; in two designs."""

import csv
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from safetensors import safe_open

from hindsight import settings
from hindsight.fields.frames import Frames
from hindsight.fields.grid import Grid
from hindsight.train import windows
from tests.workflow import runs

pytestmark = pytest.mark.slow
SMALL = {
    "domain": {
        "train": {"start": "2000-01-01T00:00", "end": "2000-05-07T18:00"},
        "validation": {"start": "2000-05-08T00:00", "end": "2000-05-31T18:00"},
        "test": {"start": "2000-06-15T00:00", "end": "2000-06-24T18:00"},
    },
    "download": {
        "synthetic": {
            "end": "2000-07-10T18:00",
            "spin_up_days": 10,
            "segments": 3,
            "navier_stokes": {"points": 32, "substeps": 16},
        }
    },
    "train": {
        "window": 4,
        "steps": 3,
        "batch": 4,
        "validate_every": 2,
        "precision": "float32",
        "keep": "last",
        "backbone": {"width": 8, "multipliers": [1], "blocks": 1},
    },
    "product": {"members": 4, "member_block": 4, "shard_frames": 40},
    "reanalyse": {"steps": 4, "halo": 4, "threads": 1},
    "baselines": {"climatology": {"days": 60}},
    "archive": {"chunk_frames": 40},
    "verify": {"resamples": 50},
}
RUN = "results/navier_stokes"
TILE = (np.arange(32) + 0.5) / 32 - 0.5


def configuration(**changes):
    """`config/navier_stokes.yaml`, shortened, with one of its networks."""
    whole = yaml.safe_load((runs.ROOT / "config/navier_stokes.yaml").read_text())
    whole["observe"]["networks"] = {"super4": whole["observe"]["networks"]["super4"]}
    return runs.merged(runs.merged(whole, SMALL), changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a whole run."""
    folder = tmp_path_factory.mktemp("square")
    runs.snakemake(folder, configuration())
    return folder


@pytest.fixture
def again(made, tmp_path):
    """A copy of it, to go on from with other settings."""
    return shutil.copytree(made, tmp_path / "again")


def fields_of(folder):
    return xr.open_zarr(folder / RUN / "preprocess/fields.zarr", consolidated=False)


def weights(folder):
    with safe_open(folder / RUN / "train/prior.safetensors", "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_the_archive_is_whole_and_is_a_tile_of_one_degree(made):
    assert json.loads((made / RUN / "archive/check.json").read_text())["complete"]
    archive = xr.open_zarr(made / RUN / "archive/reanalysis.zarr")
    assert dict(archive.sizes) == {"realization": 4, "time": 40, "latitude": 32, "longitude": 32}
    for name in ("latitude", "longitude"):
        np.testing.assert_allclose(archive[name], TILE, atol=1e-6)


def test_a_quarter_of_the_resolution_is_the_mean_of_the_four_points_in_the_middle_of_each_block(made):
    fields = fields_of(made)["fields"]
    truth = fields.sel(channel="vorticity", time=slice("2000-06-15", "2000-06-24")).values
    table = pd.read_parquet(made / RUN / "observe/super4/20000615T00.parquet")
    spread = float(xr.load_dataset(made / RUN / "preprocess/statistics.nc")["spread"][0])
    np.testing.assert_allclose(table["error"], 0.05 * spread, rtol=1e-6)
    seen = np.full((40, 8, 8), np.nan)
    for (frame, north, east), value in table.set_index(["time", "latitude", "longitude"])["value"].items():
        block = round((north + 0.5) * 8 - 0.5), round((east + 0.5) * 8 - 0.5)
        assert abs(north + 0.5 - (block[0] + 0.5) / 8) < 1e-6 and abs(east + 0.5 - (block[1] + 0.5) / 8) < 1e-6
        seen[(frame - pd.Timestamp("2000-06-15")) // pd.Timedelta("6h"), *block] = value
    expected = np.empty_like(seen)
    for i, j in np.ndindex(8, 8):
        expected[:, i, j] = truth[:, 4 * i + 1 : 4 * i + 3, 4 * j + 1 : 4 * j + 3].mean((1, 2))
    wrong = ((seen - expected) / (0.05 * spread)).ravel()
    assert abs(wrong.std() - 1) < 5 / np.sqrt(2 * wrong.size) and abs(wrong.mean()) < 5 / np.sqrt(wrong.size)


def test_the_report_names_the_channel_once(made):
    assert "<dd>vorticity</dd>" in (made / RUN / "verify/report.html").read_text()


def test_observations_help(made):
    rmse = xr.open_dataset(made / RUN / "verify/scores.nc")["score"].sel(metric="rmse", channel="vorticity")
    rmse = rmse.sel(network="super4")
    for analysis in ("diffusion", "optimal_interpolation"):
        assert float(rmse.sel(analysis=analysis)) < 0.95 * float(rmse.sel(analysis="climatology"))


def test_training_leaves_its_learning_curve(made):
    rows = list(csv.DictReader((made / RUN / "train/curve.csv").open()))
    assert [int(row["step"]) for row in rows] == [0, 2, 3] and rows[0]["loss"] == "nan" and float(rows[1]["loss"]) > 0
    assert (made / RUN / "train/curve.png").read_bytes().startswith(b"\x89PNG")
    assert list((made / RUN / "train/tensorboard").glob("events*"))


def test_no_window_reaches_from_one_segment_into_the_next(made):
    """The store says where they join, and the flow jumps there."""
    store = fields_of(made)
    breaks = np.array(store.attrs["segment_starts"], "datetime64[ns]")
    assert len(breaks) == 3
    values = store["fields"].values.reshape(store.sizes["time"], -1)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    alike, at = (values[1:] * values[:-1]).sum(1), np.isin(store["time"].values[1:], breaks)
    assert at.sum() == 2 and abs(alike[at]).max() < 0.1 and np.quantile(alike[~at], 0.02) > 0.1
    chosen = settings.read(configuration())
    whole = [made / RUN / f"preprocess/{name}" for name in ("fields.zarr/zarr.json", "climatology.nc", "statistics.nc")]
    seen = windows.scaling_for(chosen.train, Grid.of(store), *whole[1:])
    frames = Frames(whole[0], chosen.domain.train, seen, 1.0)
    drawn = windows.Windows(frames.times, frames, 4, "training", frames.segment)
    segment = np.searchsorted(breaks, frames.times, side="right")
    assert len(drawn) == sum((segment == k).sum() - 3 for k in np.unique(segment)) and len(np.unique(segment)) == 2
    assert all(len(set(segment[start : start + 4])) == 1 for start in drawn.starts)


def test_one_word_trains_the_published_design_and_one_reanalyses_with_it(again):
    small = {"size": None, "width": 32, "depth": 2, "heads": 2}
    walk = {"design": "forcingdas", "steps": 4, "regime": "fixed_lag", "lag_hours": 12}
    config = configuration(train={"design": "forcingdas", "backbone": small}, reanalyse=walk)
    analysis = f"{RUN}/reanalyse/super4/diffusion/20000615T00-0.nc"
    done = runs.snakemake(again, config, analysis)
    assert runs.executed(done.stdout) >= {"linear_prior", "prior", "shard"}
    assert not runs.executed(done.stdout) & {"synthetic", "regrid", "join", "moments", "climatology", "simulate"}
    with safe_open(again / RUN / "train/prior.safetensors", "np") as file:
        header = json.loads(file.metadata()["hindsight"])
    assert header["design"] == "forcingdas" and header["backbone"]["kind"] == "transformer"
    made = xr.open_dataset(again / analysis)
    assert (made.attrs["guidance"], made.attrs["regime"], made.attrs["lag_hours"]) == ("forcing", "fixed_lag", 12)


def test_two_processes_train_the_prior_that_one_trains(made, again):
    runs.snakemake(again, configuration(train={"processes": 2}), f"{RUN}/train/prior.safetensors")
    assert "training starts anew" in (again / "logs/navier_stokes/train/prior.log").read_text()
    alone, together = weights(made), weights(again)
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], value, atol=2e-5, rtol=1e-4, err_msg=name)
