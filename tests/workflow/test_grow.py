"""A period that grows, an ensemble that grows, another recipe: what is made, what stays, what is refused."""

import json
import re

import numpy as np
import pytest
import xarray as xr

from hindsight.download import synthetic
from hindsight.settings import Download
from tests.workflow import runs

RING = {  # Lorenz' ring: a quarter of a year is learnt from, ten days are reanalysed
    "run": "tiny",
    "domain": {
        "channels": ["x"],
        "step_hours": 6,
        "longitude_edges": "periodic",
        "train": {"start": "1999-01-01T00:00", "end": "1999-03-31T18:00"},
        "validation": {"start": "1999-04-01T00:00", "end": "1999-04-15T18:00"},
        "test": {"start": "1999-04-20T00:00", "end": "1999-04-27T18:00"},
    },
    "download": {
        "source": "synthetic",
        "dataset": "ring",
        "synthetic": {
            "world": "lorenz96",
            "start": "1999-01-01T00:00",
            "end": "1999-04-27T18:00",
            "spin_up_days": 20,
        },
    },
    "preprocess": {"annual_harmonics": 0},
    "observe": {"networks": {"half": {"kind": "regular", "every": 2, "error": 1.0, "withheld": 0}}},
    "train": {
        "window": 8,
        "steps": 2,
        "batch": 4,
        "warmup": 1,
        "validate_every": 1,
        "threads": 1,
        "backbone": {"kind": "line", "width": 8, "blocks": 1},
    },
    "product": {"members": 2, "member_block": 2, "shard_frames": 16},
    "reanalyse": {"steps": 2, "halo": 4, "stride": 4, "threads": 1},
    "archive": {"chunk_frames": 8},
}
LATER = "1999-05-05T18:00"
LONGER = runs.merged(RING, {"domain": {"test": {"end": LATER}}, "download": {"synthetic": {"end": LATER}}})
BOTH = runs.merged(LONGER, {"product": {"members": 4}})
OLD, NEW = ["19990420T00", "19990424T00"], ["19990428T00", "19990502T00"]
LEARNT = "preprocess/moments/*", "preprocess/*.nc", "train/*.safetensors"
DATA = "archive/reanalysis.zarr/x/c/*/*/*/*"
WORLDS = {
    "quasi_geostrophic": {"truncation": 5, "latitudes": 8, "spin_up_days": 5},
    "lorenz96": {"spin_up_days": 5},
    "kuramoto_sivashinsky": {"spin_up_days": 5, "kuramoto_sivashinsky": {"points": 64}},
    "navier_stokes": {"spin_up_days": 1, "navier_stokes": {"points": 26, "substeps": 4}},
}


def state(folder, *patterns):
    """Bytes and time of change of files, by name."""
    root = folder / "results/tiny"
    files = [file for pattern in patterns for file in root.glob(pattern)]
    return {str(f.relative_to(root)): (f.stat().st_mtime_ns, f.read_bytes()) for f in files}


def jobs(text, rule):
    """What the jobs of a rule that ran are called in their logs."""
    return sorted(re.findall(rf"log: logs/tiny/\w+/{rule}-(?:half-)?(.*)\.log", text))


def planned(text):
    """How many jobs of every rule a dry run would run."""
    table = text.split("Job stats:")[-1].split("Reasons:")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The ring's archive."""
    folder = tmp_path_factory.mktemp("ring")
    runs.snakemake(folder, RING, "archive")
    return folder


@pytest.fixture(scope="module")
def dry(made):
    """What would be done for a longer period, for more members, and for nothing new."""
    more = runs.merged(RING, {"product": {"members": 4}})
    return {name: runs.snakemake(made, config, "archive", "--dry-run").stdout
            for name, config in (("longer", LONGER), ("more", more), ("same", RING))}  # fmt: skip


@pytest.fixture(scope="module")
def refused(made):
    """What is printed with another recipe: by a whole run, and by a dry run that does not touch the archive."""
    other = runs.merged(RING, {"reanalyse": {"steps": 3}})
    started = runs.snakemake(made, other, check=False)
    return started, runs.snakemake(made, other, "train", "--dry-run", check=False)


@pytest.fixture(scope="module")
def grown(made, dry, refused):
    """Made twice as long with twice the members: what was printed, what there was before, what there is now."""
    files = *LEARNT, "observe/half/*", "reanalyse/half/diffusion/*", DATA
    before = state(made, *files)
    text = runs.snakemake(made, BOTH, "archive").stdout
    return text, before, state(made, *files)


@pytest.mark.slow
def test_a_longer_period_makes_what_is_new_and_nothing_else(dry):
    assert planned(dry["longer"]) == {
        "request": 1, "settings": 4, "synthetic": 1, "manifest": 1, "regrid": 1, "join": 1, "simulate": 2, "plan": 1,
        "shard": 2, "layout": 1, "write": 2, "check": 1, "feedback": 3, "observations": 1, "break_points": 1, "publish": 1,
        "explore": 1, "archive": 1, "total": 26}  # fmt: skip
    assert jobs(dry["longer"], "shard") == [f"{name}-0" for name in NEW] and jobs(dry["longer"], "write") == NEW


@pytest.mark.slow
def test_more_members_are_new_blocks_and_means(dry):
    """Every shard is written again in the same run, which Snakemake without the correction of `triggers.smk` would miss."""
    assert planned(dry["more"]) == {
        "settings": 2, "plan": 1, "shard": 2, "layout": 1, "write": 2, "check": 1, "feedback": 2, "observations": 1, "break_points": 1,
        "publish": 1, "explore": 1, "archive": 1, "total": 16}  # fmt: skip
    assert jobs(dry["more"], "shard") == [f"{name}-1" for name in OLD] and jobs(dry["more"], "write") == OLD


@pytest.mark.slow
def test_without_a_change_there_is_nothing_to_do(dry):
    assert "Nothing to be done" in dry["same"]


@pytest.mark.slow
def test_what_was_there_keeps_its_bytes_and_its_time(made, grown):
    text, before, after = grown
    assert len([name for name in before if "/x/c/" in name]) == 2 and len(before) > 10
    assert {name: after.get(name) for name in before} == before
    assert jobs(text, "shard") == sorted([f"{name}-1" for name in OLD] + [f"{n}-{b}" for n in NEW for b in (0, 1)])
    assert jobs(text, "simulate") == NEW and jobs(text, "write") == OLD + NEW and len(jobs(text, "regrid")) == 1
    assert not runs.executed(text) & {"static", "moments", "climatology", "statistics", "linear_prior", "prior"}


@pytest.mark.slow
def test_the_grown_archive_is_whole_and_is_left_alone(made, grown):
    assert json.loads((made / "results/tiny/archive/check.json").read_text())["complete"]
    archive = xr.open_zarr(made / "results/tiny/archive/reanalysis.zarr")
    assert archive.sizes["time"] == 64 and archive.sizes["realization"] == 4
    assert bool(np.isfinite(archive["x"]).all())
    assert "Nothing to be done" in runs.snakemake(made, BOTH, "archive", "--dry-run").stdout


@pytest.mark.slow
def test_another_recipe_is_refused_before_any_job_and_only_where_the_archive_is_touched(refused):
    started, training = refused
    assert started.returncode and "rule " not in started.stdout and "Traceback" not in started.stdout
    assert "results/tiny/archive/reanalysis.zarr was made with another recipe" in started.stdout
    assert "reanalyse.steps: 2 in the archive, 3 now" in started.stdout and "archive.replace: true" in started.stdout
    assert training.returncode == 0 and runs.executed(training.stdout) == {"settings", "audit", "train"}


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["observe/half/*.parquet", "settings/train.json", "preprocess/climatology.nc"])
def test_a_file_that_is_written_again_with_the_same_bytes_makes_nothing_anew(made, grown, pattern):
    for path in (made / "results/tiny").glob(pattern):
        path.write_bytes(path.read_bytes())
    assert "Nothing to be done" in runs.snakemake(made, BOTH, "archive", "--dry-run").stdout


@pytest.mark.parametrize("world", WORLDS)
def test_frames_of_a_built_in_world_do_not_depend_on_its_end(world, tmp_path):
    """What the pieces of a world that becomes longer rely on: they are not made again."""
    found = []
    for end in ("2000-03-01T00:00", "2000-05-01T00:00"):  # within a chunk of frames, and in the next one
        about = {"world": world, "start": "2000-01-01T00:00", "end": end} | WORLDS[world]
        request = Download(source="synthetic", synthetic=about, minimum_free_gb=0)
        synthetic.run(request, raw=tmp_path / f"{end}.zarr")
        found.append(xr.open_zarr(tmp_path / f"{end}.zarr", consolidated=False).load())
    short, long = found
    assert long.sizes["time"] > 256 > short.sizes["time"]
    xr.testing.assert_identical(short.drop_attrs(), long.isel(time=slice(short.sizes["time"])).drop_attrs())
