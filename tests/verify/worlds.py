"""Small worlds on disk: fields, observations and analyses of one network, cut into shards, as the workflow does."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import gaussian_filter1d

from hindsight.fields import analyses, observations, store
from hindsight.fields.grid import Grid
from hindsight.operators.interpolate import bilinear
from hindsight.settings import Domain, Product, Settings, Verify
from hindsight.settings.lexicon import CHANNELS
from hindsight.verify import compare, departures, feedback, report, score, style

BOX = Grid(np.arange(40.0, 56, 3), np.arange(-20.0, 11, 3))
GLOBE = Grid(np.arange(-87.1875, 90, 5.625), np.arange(64) * 5.625)
RING = Grid(np.zeros(1), np.arange(0, 360, 9.0))
KINDS = ("climatology", "diffusion", "optimal_interpolation")
RHO = 0.8
REPORTED = {
    "reports": {"mine": {"source": "metar", "files": ["*.parquet"]}},
    "networks": {"sparse": {"kind": "reports"}},
}


def walk(generator, frames, shape, rho=RHO):
    """A first-order autoregression of unit variance, (frames, *shape)."""
    rows = [generator.standard_normal(shape)]
    for _ in range(frames - 1):
        rows.append(rho * rows[-1] + np.sqrt(1 - rho**2) * generator.standard_normal(shape))
    return np.stack(rows)


def smooth(values, grid):
    """Blur along both axes so that there is weather to look at."""
    values = gaussian_filter1d(values, 1.5, axis=-1, mode="wrap" if grid.periodic else "nearest")
    return gaussian_filter1d(values, 1.5, axis=-2, mode="nearest")


def make(
    folder: Path, grid: Grid, frames=64, shard=16, members=4, channels=("z500", "msl"), withheld=True, against="truth"
) -> dict:
    """Write a world, a quarter of its stations withheld or none; its fields are the truth or something else.

    Returns the paths by the names of the steps' options, and the settings' sections.
    """
    generator = np.random.default_rng(0)
    times = np.datetime64("2009-01-01T12", "ns") + np.arange(frames) * np.timedelta64(1, "D")
    level = np.array([{"z500": 54000.0, "msl": 101000.0, "x": 0.0}[c] for c in channels])[:, None, None]
    truth = level + 1000 * smooth(walk(generator, frames, (len(channels), *grid.shape)), grid)
    verify = Verify(resamples=50, against=against)
    domain = Domain(channels=list(channels), test={"start": str(times[0])[:16], "end": str(times[-1])[:16]})
    product = Product(members=members, member_block=members, shard_frames=shard)
    settings = Settings(run="small", domain=domain, product=product, verify=verify, observe=REPORTED)
    coords = {"time": times, "channel": list(channels), "latitude": grid.latitude, "longitude": grid.longitude}
    dims = ("time", "channel", "latitude", "longitude")
    dataset = xr.Dataset({"fields": (dims, truth.astype("float32"))}, coords, {"source_title": "a walk"})
    if against == "none":
        dataset = dataset.assign(fields=dataset["fields"] * np.nan, available=("time", np.zeros(frames, bool)))
    store.write(dataset, folder / "fields.zarr")
    _preprocessed(folder, coords, level, grid)
    table = _observations(truth, times, channels, grid, generator, withheld)
    observed = [_part(folder, table, times[k : k + shard]) for k in range(0, frames, shard)]
    paths = []
    for kind, error in zip(KINDS, (500.0, 150.0, 200.0)):
        steps = [(k, min(k + shard, frames)) for k in range(0, frames, shard)]
        whole = error * walk(generator, frames, (members + 1, len(channels), *grid.shape))
        values = truth[:, None] + whole[:, :1] + whole[:, 1:]
        where = "reanalyse" if kind == "diffusion" else "baselines"
        for a, b in steps:
            paths.append(folder / where / "sparse" / kind / f"{_name(times[a])}-0.nc")
            attributes = {"analysis": kind, "steps": 8, "regime": "batch", "seed": 1}
            part = values[a:b].swapaxes(0, 1)
            analyses.write(part, list(range(members)), times[a:b], list(channels), grid, attributes, paths[-1])
    (folder / "curve.csv").write_text("step,sigma_0.1,sigma_1\n0,1.0,1.0\n10,0.8,0.9\n")
    (folder / "configuration.json").write_text(settings.model_dump_json())
    about_prior = audited(folder)
    return {
        "settings": settings, "fields": folder / "fields.zarr", "climatology": folder / "climatology.nc",
        "statistics": folder / "statistics.nc", "static": folder / "static.nc", "observations": observed,
        "analyses": paths, "curve": folder / "curve.csv", "configuration": folder / "configuration.json",
        "truth": truth, **about_prior,
    }  # fmt: skip


def audited(folder: Path) -> dict[str, Path]:
    """The files of an audit of the prior, as far as the report reads them."""
    files = {"audit": folder / "audit.json", "audit_figure": folder / "audit.png"}
    found = ["AUROC of training over held-out frames is 0.52", "nothing was copied"]
    files["audit"].write_text(json.dumps({"windows": 32, "window": 8, "findings": found}))
    style.Figure(figsize=(4.0, 2.0)).savefig(files["audit_figure"], dpi=style.DPI)
    return files


def _preprocessed(folder, coords, level, grid):
    space = ("harmonic", "channel", "latitude", "longitude")
    flat = level * np.ones((1, 1, *grid.shape))
    xr.Dataset({"coefficients": (space, flat)}, attrs={"annual_harmonics": 0, "daily_harmonics": 0}).to_netcdf(
        folder / "climatology.nc"
    )
    xr.Dataset({"spread": ("channel", np.full(len(level), 1000.0))}, {"channel": coords["channel"]}).to_netcdf(
        folder / "statistics.nc"
    )
    latitude, longitude = np.meshgrid(grid.latitude, grid.longitude, indexing="ij")
    land = (np.sin(np.deg2rad(2 * longitude)) + np.cos(np.deg2rad(3 * latitude)) > 0.3).astype("float32")
    xr.Dataset(
        {"land": (("latitude", "longitude"), land)}, {d: coords[d] for d in ("latitude", "longitude")}
    ).to_netcdf(folder / "static.nc")


def _name(start):
    """What a shard is called."""
    return str(start.astype("datetime64[h]")).replace("-", "")


def _part(folder, table, times):
    """Write the observations of a shard; the path."""
    path = folder / "observe/sparse" / f"{_name(times[0])}.parquet"
    observations.write(table[table["time"].isin(times)], path)
    return path


def _observations(truth, times, channels, grid, generator, withheld):
    north = generator.uniform(grid.latitude[0], grid.latitude[-1], 12)
    east = generator.uniform(grid.longitude[0], grid.longitude[-1], 12)
    east = (east + 180) % 360 - 180 if grid.periodic else east
    values = bilinear(grid, north, east).apply(truth.reshape(*truth.shape[:2], -1))
    t, c, n = (index.ravel() for index in np.indices(values.shape))
    return pd.DataFrame(
        {
            "time": times[t], "latitude": north[n], "longitude": east[n],
            "level": [float(CHANNELS[channels[k]].level or np.nan) for k in c], "channel": np.array(channels)[c],
            "value": values.ravel() + 50 * generator.standard_normal(values.size), "error": 50.0,
            "platform": "simulated", "station": np.char.add("s", n.astype(str)), "quality": 0,
            "withheld": withheld & (n % 4 == 0), "source": "simulated",
        }
    )  # fmt: skip


BENCHMARK = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def measured(path, seconds, memory, processor):
    """A benchmark file as Snakemake leaves it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{BENCHMARK}{seconds}\t0:00:01\t{memory}\t1\t1\t1\t0\t0\t50\t{processor}\n")


def scored(folder: Path, world: dict) -> Path:
    """Compare and score a world; return the scores."""
    settings = world["settings"]
    paths = {k: world[k] for k in ("fields", "climatology", "statistics", "observations", "analyses")}
    compare.run(settings.domain, settings.product, settings.verify, **paths, result=folder / "sparse.nc")
    score.run(
        settings.domain, settings.verify, statistics=[folder / "sparse.nc"], normalisation=world["statistics"],
        scores=folder / "scores.nc",
    )  # fmt: skip
    return folder / "scores.nc"


def summarised(folder: Path, world: dict) -> dict[str, Path]:
    """Feedback and departures of a world; return the paths of the summaries by the names of the step's options."""
    settings, written = world["settings"], []
    paths = {key: world[key] for key in ("fields", "climatology", "statistics")}
    for kind in KINDS:
        of = [path for path in world["analyses"] if path.parent.name == kind]
        for path in world["observations"]:
            near = [one for one in of if one.stem.split("-")[0] == path.stem]
            shard = f"{path.stem}_{analyses.header(near[0]).sizes['time']}"
            written.append(folder / "feedback/sparse" / kind / path.name)
            feedback.run(settings.domain, settings.product, shard=shard, observations=path, analyses=of,
                         feedback=written[-1], **paths)  # fmt: skip
    names = ("departures", "monthly", "ranks", "stations", "series")
    found = {name: folder / f"{name}.csv" for name in names}
    departures.run(settings.product, settings.verify, static=world["static"], feedback=written, **found)
    return found


def reported(folder: Path, world: dict) -> Path:
    """Compare, score and report a world; return the page."""
    for path in _diffusion(world):
        measured(folder / "benchmarks/reanalyse" / f"shard-sparse-{path.stem}.tsv", 12.5, 800, 20)
    scored(folder, world)
    summarised(folder, world)
    return reported_again(folder, world)


def reported_again(folder: Path, world: dict) -> Path:
    """Report a world that has its scores; return the page."""
    usage = folder / "sparse.usage.csv"
    usage.write_text("platform,channel,reason,code,rows\nsynop,msl,used,0,90\nsynop,msl,not at a frame's time,12,7\n")
    (folder / "manifest.json").write_text('{"notes": ["a note on the source"]}')
    report.run(
        world["settings"].domain, world["settings"].verify, usage=[usage], scores=folder / "scores.nc",
        analyses=_diffusion(world), coast=[], observations=world["observations"], benchmarks=folder / "benchmarks",
        manifest=folder / "manifest.json", monthly=folder / "monthly.csv", stations=folder / "stations.csv",
        series=folder / "series.csv", feedback=sorted((folder / "feedback").rglob("*.parquet")),
        report=folder / "report.html",
        **{k: world[k] for k in ("fields", "static", "curve", "audit", "audit_figure", "configuration")},
    )  # fmt: skip
    return folder / "report.html"


def _diffusion(world: dict) -> list[Path]:
    return [path for path in world["analyses"] if "diffusion" in path.parts]
