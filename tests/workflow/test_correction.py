"""A part of the source is corrected after a run: what was made from it is made again, and nothing else."""

import json
import re
from pathlib import Path

import pytest
import xarray as xr

from tests.workflow import runs

CHANGES = {
    "download": {"part_frames": 80},
    "domain": {
        "train": {"start": "2002-01-01T12:00", "end": "2003-12-31T12:00"},
        "validation": {"start": "2008-01-01T12:00", "end": "2008-01-31T12:00"},
        "test": {"start": "2008-12-01T12:00", "end": "2009-01-29T12:00"},
    },
    "preprocess": {"chunk_frames": 16, "file_frames": 80, "piece_frames": 80},
    "train": {"window": 8, "steps": 2, "batch": 2, "validate_every": 2},
    "product": {"members": 2, "member_block": 2, "shard_frames": 10},
    "reanalyse": {"frames": 14, "stride": 14, "halo": 2},
    "archive": {"network": "sparse10", "chunk_frames": 10},
    "baselines": {"methods": ["climatology"]},
}
# A piece of the fields begins on 4 January 2009; the stretches of these shards, with two frames on either side, meet it.
AFFECTED = ["20081231T12", "20090110T12", "20090120T12"]


def copied(data: Path, folder: Path) -> Path:
    """The source of the periods in a folder of its own, a file a year."""
    folder.mkdir()
    for path in sorted((data / "eraint_europe_daily").glob("*.nc")):
        with xr.open_dataset(path) as whole:
            for year in ("2002", "2003", "2008", "2009"):
                whole.sel(time=year).to_netcdf(folder / f"{year}_{path.name}")
    return folder


def corrected(path: Path, day: str) -> None:
    """The provider replaces a file, in which a day was wrong."""
    with xr.open_dataset(path) as file:
        whole = file.load()
    name = next(iter(whole.data_vars))
    whole[name].loc[{"time": day}] += whole[name].std()
    whole.to_netcdf(path)


def made_from(run: Path) -> dict[Path, bytes]:
    """The bytes of the prior, and of all tables of observations, analyses and members of the archive."""
    paths = [run / "train/prior.safetensors", *run.glob("observe/*/*.parquet"), *run.glob("*/sparse10/*/*-0.nc")]
    return {path: path.read_bytes() for path in [*paths, *(run / "archive/reanalysis.zarr").rglob("c/*/*/0/0")]}


@pytest.mark.slow
def test_a_corrected_part_of_the_source_changes_only_the_shards_that_it_reaches(data, tmp_path):
    source = copied(data, tmp_path / "source")
    config = runs.merged(runs.configuration(data, CHANGES), {"download": {"files": [f"{source}/*.nc"]}})
    config["observe"]["networks"] = {"sparse10": config["observe"]["networks"]["sparse10"]}
    runs.snakemake(tmp_path / "run", config)
    run = tmp_path / "run/results/europe"
    before = made_from(run)
    corrected(source / "2009_z500_ei.nc", "2009-01-25")
    for stage in ("download", "preprocess"):  # within a run everything that depends on a job that runs is run
        runs.snakemake(tmp_path / "run", config, stage)
    plan = runs.snakemake(tmp_path / "run", config, "--dry-run").stdout
    named = re.findall(r"output: results/europe/reanalyse/sparse10/diffusion/(\S+)-0.nc", plan)
    assert sorted(named) == AFFECTED and "rule prior:" not in plan
    runs.snakemake(tmp_path / "run", config)
    after = made_from(run)
    changed = {str(path.relative_to(run)) for path in before if before[path] != after[path]}
    assert "reanalyse/sparse10/diffusion/20090120T12-0.nc" in changed and before.keys() == after.keys()
    assert all(re.search("20090120T12|z500/c/0/5/0/0|/c/0/5/0/0", name) for name in changed), changed
    (revision,) = json.loads((run / "archive/revisions.json").read_text())["revisions"]
    assert revision["shard"] == "20090120T12" and revision["why"] == ["made from other observations"]
    assert json.loads((run / "archive/check.json").read_text())["complete"]
