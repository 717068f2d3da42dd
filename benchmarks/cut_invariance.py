"""Do results depend on the cut into shards? Compare shards of 30 and of 60 frames, and different workers and orders.

    python benchmarks/cut_invariance.py --json results/cut_invariance.json

Trains a small prior of the built-in world, on a coarse grid, and analyses 60 days from simulated stations by the steps
that the workflow runs, with the demo's settings. Writes

- `difference_over_spread`: root-mean-square difference between the two cuts, member by member, divided by the ensemble
  spread; over area, time and channels (`by_channel` has each). `archived` is the same for the rounded archives.
- `seam_ratio`: the root-mean-square change |x(t + 1) - x(t)| across edges that only the shards of 30 frames have,
  divided by that of the same frames in the shards of 60, where they are inside: the weather is the same. The standard
  error is from a jackknife over the edges. `seam_ratio_within` divides by all other changes of the same archive:
  different weather, and more noise.
- `bytes_identical`: whether one worker in order and three at once in reverse order write identical analyses and
  archives.
- `halos`: difference and seam ratio for other halos; `reached` is the smallest halo within 2 %. With `--regimes` also
  for sequential regimes, by their spin-up.

`--quick` uses noise for weather, an untrained network and few frames: a check that the benchmark runs.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cases
import efficiency
import numpy as np
import soak
import torch
import xarray as xr
import yaml
from efficiency import Small

sys.path.insert(0, str(cases.ROOT))

from hindsight import settings  # noqa: E402
from hindsight.archive import objects  # noqa: E402
from hindsight.fields import analyses, intervals, shards  # noqa: E402
from hindsight.fields.shards import Shard  # noqa: E402
from hindsight.reanalyse import shard  # noqa: E402
from hindsight.scores import seams  # noqa: E402
from hindsight.settings import Division, DomainWithoutPeriods, Reanalyse, Settings  # noqa: E402
from tests.slurm import ring  # noqa: E402
from tests.workflow import runs  # noqa: E402

FRAMES, SHORT = 240, 30  # of the period, and of the shards; the others have twice as many
WORLD = {  # laid over soak.WORLD: one table of observations, a longer training; `reanalyse` is the demo's own
    "run": "cut",
    "domain": {"test": {"end": "2005-02-12T18:00"}},
    "download": {"synthetic": {"end": "2005-02-12T18:00"}},
    "train": {"steps": 300, "warmup": 30, "validate_every": 100, "batch": 8, "precision": "float32"},
    "product": {"members": 8, "member_block": 8, "shard_frames": FRAMES},
    "archive": {"chunk_frames": 10},
}
HALOS, LIMIT = (5, 10, 20, 30, 40, 50), 0.02
SPIN_UPS = (8, 20)  # frames, of streams
STREAMS = {  # frames, members, and what is asked of them: they cost more
    "nowcast": (120, 4, {"regime": "nowcast"}),
    "fixed_lag": (120, 4, {"regime": "fixed_lag", "lag_hours": 24}),
}
INPUTS = ("prior.safetensors", "climatology.nc", "statistics.nc", "fields.zarr", "observe")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--folder", type=Path, help="where the runs go; none: a folder that is taken away")
    parser.add_argument("--regimes", action="store_true", help="streams as well: a quarter of an hour")
    parser.add_argument("--quick", action="store_true", help="no training, few frames: a check that it runs")
    chosen = parser.parse_args()
    folder = (chosen.folder or Path(tempfile.mkdtemp())).absolute()
    try:
        whole = noise(folder) if chosen.quick else trained(folder)
        found = measured(whole, () if chosen.quick else HALOS, STREAMS if chosen.regimes else {})
    finally:
        if not chosen.folder:
            shutil.rmtree(folder)
    found |= {"date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", "quick": chosen.quick}
    found["load_average"] = os.getloadavg()[1]
    print(json.dumps(found, indent=1))
    cases.write(found, chosen.json)


def measured(whole: Small, halos: tuple[int, ...], streams: dict) -> dict:
    """All figures of a run."""
    usual, frames = whole.settings.reanalyse.halo, whole.settings.product.shard_frames
    alone, many, longer = (recut(whole, *how) for how in (("alone", frames), ("many", frames), ("longer", 2 * frames)))
    once, again, _ = make(alone, 1), make(many, 3, backwards=True), make(longer, 2)
    pair = Pair(fields(alone.path("reanalyse")), fields(longer.path("reanalyse")), frames)
    rows = {usual: pair.summary()}
    rows |= {halo: compared(whole, f"halo{halo}", halo=halo) for halo in halos if halo != usual}
    reached = [halo for halo, row in rows.items() if row["difference_over_spread"] < LIMIT]
    return pair.summary() | {
        "bytes_identical": bool(once) and once == again,
        "files": len(once),
        "different_files": soak.unlike(once, again),
        "archived": Pair(stored(alone), stored(longer), frames).summary()["difference_over_spread"],
        "halo": usual,
        "halos": table("halo", rows),
        "reached": min(reached, default=None),
        "streams": {name: streamed(whole, name, *what) for name, what in streams.items()},
        **configuration(whole, alone, longer),
    }


def configuration(whole: Small, *cuts: Small) -> dict:
    """What the figures were made with."""
    product = whole.settings.product
    return {
        "frames": sum(one.frames for one in whole.cut),
        "shard_frames": [product.shard_frames, 2 * product.shard_frames],
        "members": product.members,
        "device": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, 1 thread a job",
        "dtype": whole.settings.train.precision,
        "evaluations": sum(evaluations(small.path("reanalyse")) for small in cuts),
    }


def trained(folder: Path) -> Small:
    """Weather of the built-in world, observations of stations, and a trained prior, all made by the workflow."""
    run, demo = folder / "run", yaml.safe_load((cases.ROOT / "config/config.yaml").read_text())
    config = runs.merged(runs.merged(runs.merged(demo, soak.WORLD), WORLD), {"reanalyse": demo["reanalyse"]})
    asked, base = settings.read(config), run / f"results/{WORLD['run']}"
    (table,) = (f"observe/stations/{name}.parquet" for name in cut_names(asked))
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    targets = [f"results/{WORLD['run']}/{name}" for name in ("train/prior.safetensors", table)]
    words = ring.command(run, "local", "--cores", "2", "--quiet", "all", "--", *targets)
    subprocess.run(words, env=ring.environment(), check=True, stdout=sys.stderr)
    (folder / "observe/stations").mkdir(parents=True)
    shutil.copy(base / table, folder / "observe/stations/all.parquet")
    shutil.copy(base / "train/prior.safetensors", folder)
    for name in ("climatology.nc", "statistics.nc", "fields.zarr"):
        (folder / name).symlink_to(base / "preprocess" / name)
    return Small(folder, changed(asked, product={"shard_frames": SHORT}))


def noise(folder: Path) -> Small:
    """Noise for weather and an untrained network, both small."""
    asked = efficiency.make(folder, 32, 1).settings
    return Small(folder, changed(asked, product={"members": 2, "shard_frames": 8}, reanalyse={"steps": 2, "halo": 4}))


def changed(asked: Settings, **sections: dict) -> Settings:
    """Settings with some of them changed."""
    return asked.model_copy(update={k: getattr(asked, k).model_copy(update=v) for k, v in sections.items()})


def cut_names(asked: Settings) -> list[str]:
    """The names of the shards."""
    return [one.name for one in shards.cut(asked.domain, asked.product)]


def recut(whole: Small, name: str, frames: int, members: int | None = None, **reanalyse: object) -> Small:
    """The same run in shards of `frames` frames, in its own folder."""
    product = {"shard_frames": frames, "members": members or whole.settings.product.members}
    small = Small(whole.path(name), changed(whole.settings, product=product, reanalyse=reanalyse))
    small.path("settings").mkdir(parents=True)
    for stage in ("reanalyse", "archive"):
        small.path(f"settings/{stage}.json").write_text(settings.stage_settings(small.settings, stage))
    for made_before in INPUTS:
        small.path(made_before).symlink_to(whole.path(made_before))
    return small


def make(small: Small, workers: int, backwards: bool = False) -> dict[str, str]:
    """Run all jobs, `workers` at a time, and make the archive; return the checksum of every file."""
    out, layout = small.path("reanalyse"), small.path("archive/layout.json")
    order = small.cut[::-1] if backwards else small.cut
    files, archive = {one.name: [out / f"{one.name}-0.nc"] for one in order}, small.path("archive/reanalysis.zarr")

    def write(one: Shard) -> None:
        marker = small.path(f"archive/shards/{one.name}.json")
        given = {"layout": layout, "analyses": files[one.name], "archive": archive, "marker": marker}
        small.step("archive.write", "archive", **given)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda one: small.job(one, out), order))
        first = {"first": files[small.cut[0].name], "fields": small.path("fields.zarr")}
        small.step("archive.layout", "archive", **first, archive=archive, marker=layout)
        list(pool.map(write, order))
    return digests(small.folder)


def digests(folder: Path) -> dict[str, str]:
    """Checksums of every file of the analyses and of the archive."""
    paths = [path for name in ("reanalyse", "archive") for path in (folder / name).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): objects.sha256(path) for path in paths}


def fields(folder: Path) -> xr.DataArray:
    """The analysis in a folder: (realization, time, channel, latitude, longitude)."""
    return analyses.read(sorted(folder.glob("*.nc")))["analysis"]


def stored(small: Small) -> xr.DataArray:
    """The same, from the archive."""
    archive = xr.open_zarr(small.path("archive/reanalysis.zarr"), consolidated=False)
    return archive[small.settings.domain.channels].to_dataarray("channel").transpose(*analyses.DIMENSIONS)


def sampled(small: Small) -> xr.DataArray:
    """The analysis, made in this process, which saves the imports of every job."""
    out, before = small.path("reanalyse"), torch.are_deterministic_algorithms_enabled()
    read = settings.load(small.path("settings/reanalyse.json"), [DomainWithoutPeriods, Division, Reanalyse])
    inputs = {name.split(".")[0]: small.path(name) for name in INPUTS[:3]}
    observations, domain = [small.path("observe/stations/all.parquet")], small.settings.domain
    for one in small.cut:
        seen = one.with_halo(*read[2].halo_frames(domain.step_hours), domain)
        names = {"shard": one.with_halo(0, 0, domain).name, "stretch": seen.name}
        block = f"0-{small.settings.product.members - 1}"
        target = out / f"{one.name}-0.nc"
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            shard.run(*read, **inputs, observations=observations, **names, members=block, analysis=target)
    torch.use_deterministic_algorithms(before)
    return fields(out)


@dataclass(frozen=True)
class Pair:
    """The analyses of one period from short and from long shards, (E, T, C, H, W) each.

    Attributes:
        short: from shards of `frames` frames.
        long: from shards of twice as many frames.
    """

    short: xr.DataArray
    long: xr.DataArray
    frames: int

    @property
    def edges(self) -> list[int]:
        """Frames that begin a short shard and are inside a long one."""
        return list(range(self.frames, self.short.sizes["time"], 2 * self.frames))

    def summary(self) -> dict:
        """The figures."""
        ratio, error = self.seam()
        within, within_error = self.within()
        by_channel = self.difference()
        return {
            "difference_over_spread": float(np.sqrt(np.mean(by_channel**2))),
            "seam_ratio": ratio,
            "seam_ratio_error": error,
            "seam_ratio_within": within,
            "seam_ratio_within_error": within_error,
            "edges": len(self.edges),
            "by_channel": dict(zip(self.long["channel"].values.tolist(), by_channel.tolist())),
        }

    def difference(self) -> np.ndarray:
        """Root-mean-square difference over the ensemble's spread, of each channel (C,)."""
        apart = (self.short.values.astype(float) - self.long.values) ** 2
        return np.sqrt(self._mean(apart.mean(0)) / self._variance)

    def seam(self) -> tuple[float, float]:
        """Steps across edges by the same steps of the other cut, and the standard error."""
        return ratio(*(np.array([self._step(cut, k) for k in self.edges]) for cut in (self.short, self.long)))

    def within(self) -> tuple[float, float]:
        """Steps across all edges of the short cut by all its other steps, and the standard error of the former."""
        every = np.array([self._step(self.short, k) for k in range(1, self.short.sizes["time"])])
        across = np.arange(1, len(every) + 1) % self.frames == 0
        return ratio(every[across], np.full(across.sum(), every[~across].mean()))

    def _step(self, cut: xr.DataArray, k: int) -> float:
        """Squared step of the members from the frame before `k` to it, in units of the spread of all frames."""
        earlier, later = (cut.isel(time=t).values.reshape(*cut.shape[:1], cut.shape[2], -1) for t in (k - 1, k))
        weights = np.broadcast_to(self._weights(), cut.shape[-2:]).ravel()
        passed = seams.transition(earlier, later, (earlier[0], earlier[0]), weights)["members"]
        return float(np.mean(passed / self._variance))

    @cached_property
    def _variance(self) -> np.ndarray:
        """Of the ensemble, about its mean, of each channel (C,)."""
        return self._mean(self.long.values.astype(float).var(0, ddof=1))

    def _mean(self, values: np.ndarray) -> np.ndarray:
        """Mean over time and area of (T, C, H, W)."""
        weights = np.broadcast_to(self._weights(), values.shape[-2:])
        return (values * weights).mean((0, 2, 3)) / weights.mean()

    def _weights(self) -> np.ndarray:
        return np.cos(np.deg2rad(self.long["latitude"].values))[:, None]


def ratio(across: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """Square root of the ratio of two mean squares, and its standard error from a jackknife over the edges."""
    count = len(across)
    left = np.sqrt((across.sum() - across) / (inside.sum() - inside)) if count > 1 else np.array([np.nan])
    error = np.sqrt((count - 1) * np.mean((left - left.mean()) ** 2))
    return float(np.sqrt(across.sum() / inside.sum())), float(error)


def compared(whole: Small, name: str, members: int | None = None, **reanalyse: object) -> dict:
    """The figures of other settings."""
    frames = whole.settings.product.shard_frames
    cuts = (recut(whole, f"{name}-{cut}", cut, members, **reanalyse) for cut in (frames, 2 * frames))
    return Pair(*map(sampled, cuts), frames).summary()


def streamed(whole: Small, name: str, frames: int, members: int, asked: dict) -> dict[int, dict]:
    """The figures of a sequential regime for each spin-up, from the first frames and members."""
    domain, step = whole.settings.domain, intervals.time_step(whole.settings.domain.step_hours)
    end = np.datetime64(domain.test.start) + (frames - 1) * step
    test = domain.test.model_copy(update={"end": end.astype("datetime64[s]").item()})
    part = Small(whole.folder, changed(whole.settings, domain={"test": test}))
    return table(name, {h: compared(part, f"{name}-{h}", members, halo=h, **asked) for h in SPIN_UPS})


def table(name: str, rows: dict[int, dict]) -> dict[int, dict]:
    """Print figures by halo."""
    print(f"{name:>10s} {'difference/spread':>18s} {'seam ratio':>11s} {'error':>8s}", file=sys.stderr)
    for halo, row in sorted(rows.items()):
        figures = (row[k] for k in ("difference_over_spread", "seam_ratio", "seam_ratio_error"))
        print("{:10d} {:18.4f} {:11.4f} {:8.4f}".format(halo, *figures), file=sys.stderr)
    return dict(sorted(rows.items()))


def evaluations(folder: Path) -> int:
    """Network evaluations per frame and member of the analyses in a folder."""
    heads = [analyses.header(path) for path in sorted(folder.glob("*.nc"))]
    return round(sum(h.attrs["evaluations"] * h.sizes["realization"] * h.sizes["time"] for h in heads))


if __name__ == "__main__":
    main()
