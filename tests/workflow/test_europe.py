"""The Europe configuration, shortened, from the real source to the checked archive and the report."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time

import numpy as np
import pytest
import xarray as xr

from hindsight.scores.ensemble import METRICS
from tests.workflow import runs

pytestmark = pytest.mark.slow
COST = re.compile(rb'<section class="cost">.*?</section>', re.S)


@pytest.fixture(scope="module")
def data_folder():
    from tests.conftest import DATA

    if not (DATA / "eraint_europe_daily").is_dir():
        pytest.skip(f"no real data in {DATA}; set HINDSIGHT_DATA to the folder that has eraint_europe_daily")
    return DATA.resolve()


@pytest.fixture(scope="module")
def config(data_folder):
    return runs.configuration(data_folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory, config):
    """One whole run."""
    folder = tmp_path_factory.mktemp("whole")
    runs.snakemake(folder, config)
    return folder


def results(folder):
    return folder / "results/europe"


def products(folder):
    """Digests of all products by name, but for what depends on clocks: measured and forecast costs, and TensorBoard's files."""
    return {str(p.relative_to(folder)): hashlib.sha256(COST.sub(b"", p.read_bytes())).hexdigest()
            for p in sorted((folder / "results").rglob("*")) if p.is_file() and "tensorboard" not in p.parts and p.name != "plan.json"}


def test_the_archive_opens_with_plain_xarray(made):
    store = results(made) / "archive/reanalysis.zarr"
    archive = xr.open_zarr(store)
    assert dict(archive.sizes) == {"realization": 4, "time": 40, "latitude": 21, "longitude": 24}
    assert set(archive.data_vars) == {"z500", "t850", "msl"}
    assert archive["z500"].attrs["standard_name"] == "geopotential" and archive["msl"].attrs["units"] == "Pa"
    assert archive.attrs["Conventions"].startswith("CF-1.11") and archive.attrs["title"]
    mean, spread = (xr.open_zarr(store, group=group) for group in ("mean", "spread"))
    for name in archive.data_vars:
        rounding = 0.02 * float(spread[name].mean())
        np.testing.assert_allclose(mean[name], archive[name].mean("realization"), atol=rounding)
        np.testing.assert_allclose(spread[name], archive[name].std("realization", ddof=1), atol=3 * rounding)
    assert json.loads((results(made) / "archive/check.json").read_text())["complete"]


def test_the_archive_is_the_analysis_rounded_by_less_than_its_spread(made):
    archive = xr.open_zarr(results(made) / "archive/reanalysis.zarr")
    parts = sorted((results(made) / "reanalyse/sparse10/diffusion").glob("*.nc"))
    assert len(parts) == 4
    for path in parts:
        part = xr.open_dataset(path)
        for name in archive.data_vars:
            ours = archive[name].sel(time=part.time, realization=part.realization)
            spread = float(archive[name].std("realization").mean())
            assert np.abs(ours - part["analysis"].sel(channel=name)).max() < 0.02 * spread


def test_the_scores_have_their_fixed_names(made):
    scores = xr.open_dataset(results(made) / "verify/scores.nc")
    assert set(scores["score"].dims) == {"network", "analysis", "metric", "channel"}
    assert set(scores["analysis"].values) == {"diffusion", "optimal_interpolation", "climatology"}
    assert set(METRICS) <= set(scores["metric"].values) and set(scores["network"].values) == {"sparse10", "sparse2"}
    assert np.isfinite(scores["score"]).all()
    assert ((scores["lower"] <= scores["score"]) & (scores["score"] <= scores["upper"])).mean() > 0.95


def test_even_this_short_a_run_beats_the_climatology_and_orders_the_networks(made):
    rmse = xr.open_dataset(results(made) / "verify/scores.nc")["score"].sel(metric="rmse")
    diffusion, climatology = rmse.sel(analysis="diffusion"), rmse.sel(analysis="climatology")
    assert (diffusion < 0.6 * climatology).all()
    assert (diffusion.sel(network="sparse10") < 0.7 * diffusion.sel(network="sparse2")).all()


def test_withheld_observations_are_scored_and_were_not_used(made):
    scores = xr.open_dataset(results(made) / "verify/scores.nc")
    withheld = scores["regional_score"].sel(region="withheld observations", metric="rmse", network="sparse10")
    whole = scores["score"].sel(metric="rmse", network="sparse10", analysis="diffusion")
    assert (withheld.sel(analysis="diffusion") > 0.5 * whole).all()


def test_the_report_is_one_self_contained_page(made):
    text = (results(made) / "verify/report.html").read_text()
    assert text.count("data:image/png;base64,") == 20
    assert "<td>reanalyse: shard</td><td>8</td>" in text  # its cost, as measured
    assert "http://" not in text and "https://" not in text and "diffusion" in text and "z500" in text


def test_a_finished_run_does_no_work_again(made, config):
    again = runs.snakemake(made, config)
    assert "Nothing to be done" in again.stdout


@pytest.mark.parametrize(("change", "rerun"), [
    ({"verify": {"resamples": 60}}, {"settings", "compare", "score", "departures", "report"}),
    ({"archive": {"title": "Another"}}, {"settings", "layout", "check", "break_points", "publish", "explore", "report"}),
    ({"archive": {"chunk_points": 8, "replace": True}},
     {"settings", "plan", "layout", "write", "check", "break_points", "publish", "explore", "report"}),
    ({"reanalyse": {"steps": 3}, "archive": {"replace": True}},
     {"settings", "plan", "shard", "compare", "score", "report", "layout", "write", "check", "feedback", "departures",
      "observations", "break_points", "publish", "explore"}),
    ({"baselines": {"climatology": {"days": 20}}}, {"settings", "baseline", "compare", "score", "feedback", "departures", "report"}),
])
def test_changing_one_stage_reruns_it_and_what_follows_and_nothing_else(made, config, change, rerun):
    dry = runs.snakemake(made, runs.merged(config, change), "--dry-run")
    assert runs.executed(dry.stdout) == rerun
    runs.snakemake(made, config, "--dry-run")  # and back


def test_every_command_can_be_pasted(made, config, tmp_path):
    """A rule's command is the CLI's: print it, run it elsewhere, get the same bytes."""
    target = "results/europe/observe/sparse2/20090101T12.parquet"
    dry = runs.snakemake(made, config, "--dry-run", "--printshellcmds", "--force", target)
    line = next(x.strip() for x in dry.stdout.splitlines() if "hindsight observe.simulate" in x)
    line = line[line.index("hindsight ") :]
    before = (made / target).read_bytes()
    subprocess.run(line, shell=True, cwd=made, env=runs.environment(), check=True)
    assert (made / target).read_bytes() == before


def test_killed_at_any_time_a_rerun_gives_the_same_bytes(made, config, tmp_path):
    """kill -9 of the workflow and of all its jobs, again and again, then one run to the end."""
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / "config.yaml").write_text((made / "config.yaml").read_text())
    for seconds in (9, 14, 17):
        running = subprocess.Popen(runs.command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=runs.environment(), start_new_session=True)
        time.sleep(seconds)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        subprocess.run(runs.command(folder, "--unlock"), stdout=subprocess.DEVNULL, env=runs.environment(), check=True)
    runs.snakemake(folder, config)
    ours, theirs = products(folder), products(made)
    assert set(ours) == set(theirs)
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_a_flipped_byte_in_the_archive_is_found_and_the_command_given_mends_it(made, config):
    victim = sorted((results(made) / "archive/reanalysis.zarr/z500/c").rglob("*"))[-1]
    original = victim.read_bytes()
    spoilt = bytearray(original)
    spoilt[len(spoilt) // 2] ^= 1
    victim.write_bytes(spoilt)
    found = runs.snakemake(made, config, "--force", "results/europe/archive/check.json", check=False)
    assert found.returncode != 0 and "is damaged" in found.stdout
    marker = found.stdout.split("--forcerun ")[1].split()[0]
    runs.snakemake(made, config, "--forcerun", marker)
    assert victim.read_bytes() == original
    assert json.loads((results(made) / "archive/check.json").read_text())["complete"]
