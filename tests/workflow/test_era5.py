"""`config/era5.yaml` on a server that behaves like Google Cloud Storage, and GRIB: from the source to the fields."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from hindsight.fields.grid import Grid
from hindsight.fields.regridding import Regridding
from tests.servers import gcs, stores
from tests.workflow import runs

SHORT = {
    "domain": {"train": {"start": "1959-01-01T00:00", "end": "1959-02-28T18:00"},
               "validation": {"start": "1959-03-01T00:00", "end": "1959-03-10T18:00"},
               "test": {"start": "1959-03-11T00:00", "end": "1959-03-20T18:00"}},
    "download": {"part_frames": 100, "bucket": {"connections": 4, "patience_seconds": 60}},
    "preprocess": {"annual_harmonics": 0, "spacing": 11.25, "chunk_frames": 16, "file_frames": 32, "piece_frames": 64},
}
MADE = ["preprocess/fields.zarr/zarr.json", "preprocess/statistics.nc", "preprocess/static.nc"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A bucket with the store that the configuration names, half a year of it, and its server."""
    root = tmp_path_factory.mktemp("buckets")
    config = yaml.safe_load((runs.ROOT / "config/era5.yaml").read_text())
    path = root / config["download"]["bucket"]["url"].removeprefix("gs://")
    path.parent.mkdir(parents=True)
    whole = stores.weatherbench2(path, frames=700, levels=(500, 850, 1000), winds=True)
    with gcs.Server(root) as server:
        yield server, whole, config


def configuration(config, server, changes=None):
    options = {"download": {"bucket": {"options": {"endpoint_url": server.url, "token": "anon"}}}}
    return runs.merged(runs.merged(runs.merged(config, SHORT), options), changes or {})


def targets():
    return [f"results/era5/{name}" for name in MADE]


def fields_of(folder):
    return xr.open_zarr(folder / "results/era5/preprocess/fields.zarr", consolidated=False)


def digests(folder):
    """What the parts and the fields hold."""
    parts = sorted((folder / "resources").rglob("parts/*.json"))
    return [json.loads(p.read_text())["digest"] for p in parts], fields_of(folder).attrs["digest"]


@pytest.fixture(scope="module")
def made(served, tmp_path_factory):
    """The undisturbed run."""
    server, _, config = served
    folder = tmp_path_factory.mktemp("era5")
    runs.snakemake(folder, configuration(config, server), *targets())
    return folder


@pytest.mark.slow
def test_what_arrives_is_the_store_regridded(made, served):
    _, whole, config = served
    found = fields_of(made)
    assert found.sizes == {"time": 316, "channel": 6, "latitude": 16, "longitude": 32} and bool(found["available"].all())
    names = {"z500": ("geopotential", 500), "msl": ("mean_sea_level_pressure", None)}
    source = Grid.of(whole)
    onto = Regridding.between(source, Grid.of(found), "conservative", "x")
    for channel, (variable, level) in names.items():
        field = whole[variable] if level is None else whole[variable].sel(level=level)
        expected = onto(field.sel(time=found["time"]).transpose("time", "latitude", "longitude").values)
        np.testing.assert_allclose(found["fields"].sel(channel=channel), expected, rtol=2e-6)
    manifest = json.loads((made / "results/era5/download/manifest.json").read_text())
    assert manifest["masked"] == [] and len(manifest["parts"]) == 4
    assert manifest["parts"][0]["source"]["url"] == config["download"]["bucket"]["url"]
    static = xr.load_dataset(made / "results/era5/preprocess/static.nc")
    assert set(static.data_vars) == {"land", "orography"}


@pytest.mark.slow
def test_faults_and_kills_end_with_the_same_bytes_and_nothing_whole_is_fetched_twice(made, served, tmp_path):
    server, _, config = served
    server.log.clear()
    server.fault(r"geopotential/1\.", status=503, times=3)
    server.fault(r"temperature/0\.", truncate=0.5, times=2)
    server.fault(r"u_component_of_wind/2\.", stall=2.0, times=2)
    wanted = configuration(config, server)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(wanted))
    for seconds in (6.0, 8.0):
        run = subprocess.Popen(runs.command(tmp_path, *targets()), env=runs.environment(), start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        subprocess.run(runs.command(tmp_path, "--unlock"), env=runs.environment(), capture_output=True)
    runs.snakemake(tmp_path, wanted, *targets())
    assert digests(tmp_path) == digests(made)
    served_whole = server.asked(r"/\d+\.", whole=True)
    assert sum(served_whole.values()) <= len(served_whole) + 2 * 4  # but for those under way when a kill came


@pytest.mark.slow
def test_a_longer_period_fetches_what_is_new_and_leaves_the_old_parts_alone(made, served):
    server, _, config = served
    parts = {p: p.stat().st_mtime_ns for p in (made / "resources").rglob("parts/*.zarr/zarr.json")}
    server.log.clear()
    longer = configuration(config, server, {"domain": {"test": {"end": "1959-06-01T18:00"}}})
    runs.snakemake(made, longer, *targets())
    kept = {p: t for p, t in parts.items() if "_100.zarr" in str(p)}
    assert len(kept) == 3 and all(p.stat().st_mtime_ns == t for p, t in kept.items())
    assert not server.asked(r"geopotential/[012]\.") and server.asked(r"geopotential/[3456]\.")
    assert fields_of(made).sizes["time"] == 608


@pytest.mark.slow
def test_a_hole_in_the_bucket_stops_the_run_with_the_list(served, tmp_path):
    server, _, config = served
    name = r"geopotential/2\.0\.0\.0$"
    fault = server.fault(name, status=404, times=-1)
    done = runs.snakemake(tmp_path, configuration(config, server), *targets(), check=False)
    fault.times = 0
    assert "'geopotential' has NaN in 100 frame(s), at 1959-02-20T00:00:00" in done.stdout
    assert "download.missing" in done.stdout and "Traceback" not in done.stdout
    refused = json.loads((tmp_path / "results/era5/download/manifest.refused.json").read_text())
    assert any("geopotential/2.0.0.0" in key for key in refused["chunks_missing"])


@pytest.mark.parametrize(("changes", "says"), [
    ({"download": {"bucket": {"url": "gs://weatherbench3/a.zarr"}}}, "weatherbench3"),
    ({"domain": {"channels": ["z500", "z37"]}}, "'z37'; did you mean z"),
    ({"domain": {"channels": ["z500", "w500"]}}, "no variable for channel w500"),
    ({"domain": {"channels": ["z30"]}}, "no level 30 hPa"),
    ({"domain": {"test": {"end": "1962-01-01T00:00"}}}, "1959"),
])
def test_a_wrong_request_ends_in_a_sentence(served, tmp_path, changes, says):
    server, _, config = served
    done = runs.snakemake(tmp_path, configuration(config, server, changes), *targets(), check=False)
    assert done.returncode != 0 and says in done.stdout and "Traceback" not in done.stdout, done.stdout[-3000:]
    assert not list(Path(tmp_path).rglob("fields.zarr"))


@pytest.mark.slow
def test_grib_goes_the_same_way(data, tmp_path):
    """Six-hourly means over cells of 1 degree from 744 hourly messages of ERA5 at 0.25 degrees."""
    if not (data / "era5_uk_t2m_grib").is_dir():
        pytest.skip(f"no era5_uk_t2m_grib in {data}")
    config = {
        "run": "uk", "data": str(data),
        "download": {"source": "grib", "dataset": "uk", "grib": {"files": ["era5_uk_t2m_grib/*.grib"]}, "part_frames": 40},
        "domain": {"channels": ["t2m"], "step_hours": 6, "south": 51, "north": 57, "west": -9, "east": 1,
                   "train": {"start": "2019-03-01T00:00", "end": "2019-03-20T18:00"},
                   "validation": {"start": "2019-03-21T00:00", "end": "2019-03-25T18:00"},
                   "test": {"start": "2019-03-26T00:00", "end": "2019-03-31T18:00"}},
        "preprocess": {"annual_harmonics": 0, "spacing": 1.0, "poles": True},
    }
    runs.snakemake(tmp_path, config, "results/uk/preprocess/fields.zarr/zarr.json", "results/uk/preprocess/statistics.nc")
    found = xr.open_zarr(tmp_path / "results/uk/preprocess/fields.zarr", consolidated=False)["fields"]
    [path] = (data / "era5_uk_t2m_grib").glob("*.grib")
    raw = xr.load_dataset(path, engine="cfgrib", backend_kwargs={"indexpath": ""})["t2m"].sortby("latitude")
    there = raw.sel(time=found["time"].values)
    weights = np.cos(np.deg2rad(there["latitude"])) * xr.where(abs(there["latitude"] - 54) == 0.5, 0.5, 1.0)
    box = there.sel(latitude=slice(53.5, 54.5), longitude=slice(-3.5, -2.5))
    weights = weights.sel(latitude=box["latitude"]) * xr.where(abs(box["longitude"] + 3) == 0.5, 0.5, 1.0)
    expected = (box * weights).sum(["latitude", "longitude"]) / weights.sum()
    np.testing.assert_allclose(found.sel(channel="t2m", latitude=54, longitude=-3), expected, atol=2e-3)
    assert found.sizes == {"time": 124, "channel": 1, "latitude": 7, "longitude": 11}
