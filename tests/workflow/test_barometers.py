"""Real reports go through the workflow: collected, calibrated, screened, selected, analysed, scored and archived."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr
import yaml

from hindsight.fields.usage import CODES
from tests import shared
from tests.workflow import runs

pytestmark = pytest.mark.slow

SMALL = {
    "domain": {
        "train": {"start": "2002-01-01T12:00", "end": "2003-12-31T12:00"},
        "validation": {"start": "2008-01-01T12:00", "end": "2008-01-31T12:00"},
        "test": {"start": "2009-01-01T12:00", "end": "2009-02-09T12:00"},
    },
    "observe": {"quality": {"modes": 60, "interval_frames": 200}},
    "train": {"window": 8, "steps": 2, "batch": 2, "validate_every": 2, "backbone": {"width": 8, "multipliers": [1]}},
    "product": {"members": 4, "member_block": 4, "shard_frames": 10},
    "reanalyse": {"steps": 2, "frames": 14, "stride": 14, "halo": 2},
    "baselines": {"methods": ["climatology", "optimal_interpolation"]},
    "archive": {"network": "without_spain", "chunk_frames": 10},
    "verify": {"resamples": 50},
}


def configuration(data) -> dict:
    """`config/barometers.yaml`, shortened, with one of its networks."""
    config = yaml.safe_load((runs.ROOT / "config/barometers.yaml").read_text())
    config["observe"]["networks"] = {"without_spain": config["observe"]["networks"]["without_spain"]}
    return runs.merged(config, SMALL | {"data": str(data)})


@pytest.fixture(scope="module")
def made(data):
    return shared.once("barometers", lambda folder: runs.snakemake(folder, configuration(data)))


def test_withheld_stations_are_kept_apart_and_scored(made):
    run = made / "results/barometers"
    table = pd.concat([pd.read_parquet(path) for path in (run / "observe/without_spain").glob("*.parquet")])
    spanish = table["station"].str.startswith("ES_")
    assert spanish.any() and (~spanish).any() and (table["withheld"] == spanish).all()
    assert set(table["channel"]) == {"msl", "sp", "t_free"} and table["time"].nunique() == 40
    assert set(table["time_weights"]) >= {"-1:0.06 0:0.87 1:0.07"} and (table["bias"] != 0).any()
    with xr.open_dataset(run / "verify/scores.nc") as scores:
        found = scores["regional_score"].sel(region="withheld observations", metric="rmse", channel="msl", network="without_spain")
        assert (found.sel(analysis="optimal_interpolation") < 0.8 * found.sel(analysis="climatology")).all()


def reports_alone(folder: Path, data: Path) -> dict:
    """The configuration with a source that ends before the test period; its files lie in a folder."""
    source = folder / "source"
    if not source.exists():
        source.mkdir(parents=True)
        for path in sorted((data / "eraint_europe_daily").glob("*.nc")):
            with xr.open_dataset(path) as whole:
                whole.sel(time=slice("2002", "2008")).to_netcdf(source / path.name)
    changes = {"download": {"files": [f"{source}/*.nc"]}, "verify": {"against": "none"}}
    return runs.merged(configuration(data), changes)


@pytest.fixture(scope="module")
def without_fields(data):
    return shared.once("reports_alone", lambda folder: runs.snakemake(folder, reports_alone(folder, data)))


def test_a_period_without_fields_is_analysed_and_scored_at_withheld_observations(without_fields, data):
    run = without_fields / "results/barometers"
    fields = xr.open_zarr(run / "preprocess/fields.zarr", consolidated=False)
    assert not fields["available"].sel(time=slice("2009", None)).any() and fields.sizes["time"] > 2000
    with xr.open_dataset(run / "verify/scores.nc") as scores:
        found = scores["score"].sel(metric="rmse", channel="msl", network="without_spain")
        assert scores.attrs["against"] == "none" and "rmse_map" not in scores
        assert (found.sel(analysis="optimal_interpolation") < 0.8 * found.sel(analysis="climatology")).all()
    report = (run / "verify/report.html").read_text()
    assert "There are no fields of this period" in report and not re.search(r"truth|>\s*[-−]?nan", report)
    with xr.open_zarr(run / "archive/reanalysis.zarr") as archive:
        assert archive.sizes["time"] == 40 and archive.attrs["comment"].startswith("There are no fields")
    assert "Nothing to be done" in runs.snakemake(without_fields, reports_alone(without_fields, data), "-n").stdout


def test_every_report_of_the_period_is_counted(made):
    run = made / "results/barometers"
    collected = pd.concat([pd.read_parquet(path) for path in (run / "observe/reports/europe").glob("*.parquet")])
    screened = pd.concat([pd.read_parquet(path) for path in (run / "observe/screened/europe").glob("*.parquet")])
    period = slice("2009-01-01", "2009-02-10")
    count = lambda table: len(table.set_index("time").sort_index().loc[period])
    assert count(collected) == count(screened) > 4000
    assert set(screened["quality"]) <= set(CODES.values()) and (screened["quality"] == 0).mean() > 0.9
    usage = pd.read_csv(run / "observe/without_spain.usage.csv")
    assert usage["rows"].sum() > 1000 and set(usage["reason"]) >= {"used", "withheld"}


def test_the_archive_is_whole_and_nothing_is_left_to_do(made, data):
    with xr.open_zarr(made / "results/barometers/archive/reanalysis.zarr") as archive:
        assert archive.sizes["time"] == 40
    assert "Nothing to be done" in runs.snakemake(made, configuration(data), "-n").stdout


def test_a_denied_station_changes_only_the_shard_that_it_touches(made, data, tmp_path):
    """Denied on three days inside the second of four shards, which the halos of the others do not reach."""
    folder = shutil.copytree(made, tmp_path / "recalled")
    run = folder / "results/barometers"
    kept = {path: path.read_bytes() for path in run.glob("*/without_spain/**/*-0.nc")}
    kept |= {path: path.read_bytes() for path in (run / "archive/reanalysis.zarr").rglob("c/*/*/0/0")}
    table = pd.read_parquet(run / "observe/without_spain/20090111T12.parquet")
    day = table[(table["time"] == pd.Timestamp("2009-01-15T12")) & (table["quality"] == 0) & ~table["withheld"]]
    denial = {"station": day["station"].iloc[0], "start": "2009-01-14", "end": "2009-01-16", "reason": "moved uphill"}
    config = configuration(data)
    config["observe"]["networks"]["without_spain"]["denied"] = [denial]
    text = runs.snakemake(folder, config).stdout
    remade = r"output: results/barometers/(?:reanalyse|baselines|observe)/without_spain/(\S+)"
    assert sorted(re.findall(remade, text)) == [
        "20090111T12.parquet",
        *(f"{name}/20090111T12-0.nc" for name in ("climatology", "diffusion", "optimal_interpolation")),
    ]
    changed = {path.relative_to(run) for path, content in kept.items() if path.read_bytes() != content}
    named = {str(path) for path in changed}
    assert "reanalyse/without_spain/diffusion/20090111T12-0.nc" in named
    assert all("20090111T12" in name or "/c/0/1/0/0" in name for name in named), named
    (revision,) = json.loads((run / "archive/revisions.json").read_text())["revisions"]
    assert revision["shard"] == "20090111T12" and "moved uphill" in revision["why"][0]
    assert "moved uphill" in (run / "archive/README.md").read_text()
    assert json.loads((run / "archive/check.json").read_text())["complete"]
    config["observe"]["networks"]["without_spain"] |= {"denied": [], "denied_file": f"{folder}/denied.csv"}
    pd.DataFrame([denial]).to_csv(folder / "denied.csv", index=False)
    assert not re.findall(remade, runs.snakemake(folder, config, "-n").stdout)
    also = {"station": "ES_*", "start": "2009-02-05", "end": "2009-02-06", "reason": "of a file"}
    pd.DataFrame([denial, also]).to_csv(folder / "denied.csv", index=False)
    plan = runs.snakemake(folder, config, "-n").stdout
    assert [name for name in re.findall(remade, plan) if name.endswith(".parquet")] == ["20090131T12.parquet"]
