"""Credentials in a whole run: nothing that it writes or says has them but the files for their owner's eyes."""

import stat

import numpy as np
import pytest
import xarray as xr

from tests.workflow import runs

SECRET, OTHER = "s3cr3t-of-the-source", "s3cr3t-of-the-copy"


def config(secret=SECRET):
    there = {"url": "s3://private/store.zarr", "options": {"key": "me", "secret": secret}}
    return runs.merged(
        runs.IDLE,
        {
            "run": "r",
            "download": {"source": "bucket", "dataset": "d", "bucket": there},
            "archive": {"copy_to": {"url": "s3://mine/there", "options": {"secret": OTHER}}},
        },
    )


def test_a_run_keeps_them_to_itself_and_makes_nothing_anew_for_another(tmp_path):
    """Files of every stage, logs, what Snakemake remembers of its jobs, what it prints with --printshellcmds."""
    done, given = runs.idle(tmp_path / "work", config(), "--printshellcmds")
    assert done.returncode == 0, done.stdout[-5000:]
    (tmp_path / "work/config.yaml").unlink()
    with_them = [p for p in tmp_path.rglob("*") if p.is_file() and any(s.encode() in p.read_bytes() for s in (SECRET, OTHER))]
    private = [tmp_path / "work" / folder / ".credentials.json" for folder in ("resources/d", "results/r/settings")]
    assert sorted(with_them) == private
    assert [stat.S_IMODE(path.stat().st_mode) for path in private] == [0o600, 0o600]
    assert SECRET not in private[1].read_text() and OTHER not in private[0].read_text()
    assert SECRET not in done.stdout and OTHER not in done.stdout and "hidden" in done.stdout
    assert len(given) > 100 and not any(s in word for word in given for s in (SECRET, OTHER))
    again, _ = runs.idle(tmp_path / "work", config("another"))
    assert "Nothing to be done" in again.stdout


@pytest.mark.slow
def test_the_step_that_needs_them_has_them(tmp_path):
    """From a store that is a folder, whose file system takes any option: one that is hidden is refused by the step."""
    times = np.datetime64("1999-12-20", "ns") + np.arange(90) * np.timedelta64(1, "D")
    coords = {"time": times, "level": [500], "latitude": np.arange(-80.0, 81, 20), "longitude": np.arange(0, 360, 30.0)}
    values = 5e4 + np.random.default_rng(0).standard_normal([len(axis) for axis in coords.values()])
    store = xr.Dataset({"geopotential": (tuple(coords), values.astype("float32"), {"units": "m2 s-2"})}, coords)
    store.to_zarr(tmp_path / "store.zarr", zarr_format=2)
    bucket = {"url": f"file://{tmp_path}/store.zarr", "options": {"secret": SECRET}}
    chosen = runs.merged(config(), {"domain": {"channels": ["z500"]}, "archive": {"copy_to": {"url": None, "options": {}}}})
    chosen["download"]["bucket"] = bucket
    done = runs.snakemake(tmp_path / "work", chosen, "download")
    assert (tmp_path / "work/results/r/download/manifest.json").is_file() and SECRET not in done.stdout
    private = tmp_path / "work/resources/d/.credentials.json"
    with_them = [p for p in (tmp_path / "work").rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
    assert sorted(with_them) == [tmp_path / "work/config.yaml", private]
