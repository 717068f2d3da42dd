"""A source of many files: their names are longer than a command may be; one that changes is read again, alone."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight import settings
from tests.download.grib import grib_files
from tests.download.grib.grib_files import DAY
from tests.workflow import runs

HOURS, ROOM = 70, 128 * 1024  # files; bytes that Linux takes as one word of a command
PERIODS = {"train": (0, 50), "validation": (51, 60), "test": (61, HOURS - 1)}
TARGET = "resources/d/catalogue.parquet"


def at(hour):
    return (DAY + timedelta(hours=hour)).isoformat()


@pytest.mark.slow
def test_names_that_fill_no_command_are_listed_in_a_file(tmp_path):
    folder = tmp_path / "data" / "/".join("era5" * 60 for _ in range(8))
    folder.mkdir(parents=True)
    for hour in range(HOURS):
        grib_files.file(folder / f"{hour}.grib", grib_files.message(grib_files.field(hour), time=DAY + timedelta(hours=hour)))
    assert HOURS * len(str(folder)) > ROOM
    config = {
        "run": "r",
        "data": str(folder),
        "domain": {"channels": ["t500"], "step_hours": 1,
                   **{name: {"start": at(a), "end": at(b)} for name, (a, b) in PERIODS.items()}},
        "download": {"source": "grib", "dataset": "d", "minimum_free_gb": 0, "grib": {"files": ["*.grib"]}},
    }
    runs.snakemake(tmp_path / "run", config, TARGET)
    found = pd.read_parquet(tmp_path / "run" / TARGET)
    assert sorted(found["file"]) == sorted(map(str, folder.glob("*.grib"))) and len(set(found["valid"])) == HOURS
    assert not runs.executed(runs.snakemake(tmp_path / "run", config, "--dry-run", TARGET).stdout)
    grib_files.file(folder / "7.grib", grib_files.message(grib_files.field(7), time=DAY - timedelta(hours=1)))
    done = runs.snakemake(tmp_path / "run", config, TARGET)
    assert runs.executed(done.stdout) >= {"sources", "catalogue"} and len(done.stdout) < 20_000
    assert pd.read_parquet(tmp_path / "run" / TARGET)["valid"].min() == pd.Timestamp(DAY - timedelta(hours=1))


@pytest.mark.slow
def test_settings_that_fill_no_command_are_written_all_the_same(tmp_path):
    """Thousands of files, and of days that may be missing, named one by one."""
    names = [f"it's_{'x' * 40}_{number}.nc" for number in range(3000)]
    (tmp_path / "data").mkdir()
    for name in names:
        (tmp_path / "data" / name).touch()
    days = [str(day) for day in np.arange("2000-01-01", "2008-01-01", dtype="datetime64[D]")]
    config = {"run": "r", "data": str(tmp_path / "data"),
              "download": {"source": "local", "dataset": "d", "files": names, "missing": days}}  # fmt: skip
    targets = ["resources/d/download.json", "results/r/settings/manifest.json"]
    runs.snakemake(tmp_path / "run", config, *targets)
    chosen = settings.read(config)
    for target, stage in zip(targets, ("download", "manifest")):
        text = (tmp_path / "run" / target).read_text()
        assert text == settings.stage_settings(chosen, stage) + "\n" and len(text) > ROOM
    assert not runs.executed(runs.snakemake(tmp_path / "run", config, "--dry-run", *targets).stdout)


ODD = "run [2] {a} $b 100% it's *ä*"
NAMES = ("a (1).nc", "b [old].nc", "c,d.nc", "e'f.nc", "g{h}.nc", "i&j;k.nc", "l#m: n.nc")


@pytest.mark.slow
def test_any_names_of_folders_and_files_end_in_the_fields(tmp_path, monkeypatch):
    """As a shell user expects, in a dry run and in a real one; the data folder is below one's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PART", "deep")
    monkeypatch.setenv("OTHER", str(tmp_path / "other [2] 'x'"))
    latitude, longitude = np.arange(60.0, 39, -5), np.arange(-10.0, 15.1, 5)
    days = pd.date_range("2023-01-01", periods=5 * len(NAMES))
    values = 280 + np.arange(len(days), dtype="f4")[:, None, None] + np.zeros((1, 5, 6), "f4")
    coords = {"time": days, "latitude": latitude, "longitude": longitude}
    whole = xr.Dataset({"t2m": (tuple(coords), values, {"units": "K"})}, coords)
    folder = tmp_path / ODD / "deep"
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        whole.isel(time=slice(5 * number, 5 * number + 5)).to_netcdf(folder / name)
    land = xr.Dataset({"land": (("latitude", "longitude"), np.ones((5, 6), "f4"))}, {k: coords[k] for k in list(coords)[1:]})
    (tmp_path / "other [2] 'x'").mkdir()
    land.to_netcdf(tmp_path / "other [2] 'x'/land's [1] $x, 100%.nc")
    config = {
        "run": "r",
        "data": f"~/{ODD}",
        "domain": {"channels": ["t2m"], "train": {"start": "2023-01-01", "end": "2023-01-20"},
                   "validation": {"start": "2023-01-21", "end": "2023-01-25"},
                   "test": {"start": "2023-01-26", "end": str(days[-1])[:10]}},
        "preprocess": {"annual_harmonics": 0, "land": "$OTHER/land's [1] $x, 100%.nc"},
        "download": {"source": "local", "dataset": "d", "minimum_free_gb": 0,
                     "files": ["**/[a-f]*.nc", "$PART/g{h}.nc", f"deep/{NAMES[5]}", "deep/l*.nc"]},
    }  # fmt: skip
    target = "results/r/preprocess/static.nc"
    assert "static" in runs.executed(runs.snakemake(tmp_path / "run", config, "--dry-run", target).stdout)
    runs.snakemake(tmp_path / "run", config, target, "results/r/preprocess/fields.zarr/zarr.json")
    made = tmp_path / "run/results/r/preprocess"
    fields = xr.open_zarr(made / "fields.zarr", consolidated=False)["fields"]
    np.testing.assert_array_equal(fields[:, 0, 0, 0], values[:, 0, 0])
    assert bool((xr.load_dataset(made / "static.nc")["land"] == 1).all())
