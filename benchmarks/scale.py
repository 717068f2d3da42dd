"""What a whole run costs as the globe grows: seconds and memory of every step, from 32 x 64 points upwards.

    python benchmarks/scale.py --json results/scale.json [--sizes 32x64x4 61x120x4 61x120x20 121x240x4 121x240x20]
    python benchmarks/scale.py --quick

For each size (latitudes x longitudes x channels) it makes weather with spectra like the atmosphere's: every channel a
sum of spherical harmonics whose variance falls as degree^-3 beyond degree 8 and whose memory falls with the degree
(AR(1), five days at degree 1, half a day at degree 100), channels on neighbouring levels correlated, winds the
rotational wind of a streamfunction. A thousand frames train the linear prior, then the network takes `--steps` steps,
and one shard of 60 frames and 4 members is analysed from `--rows` reports a frame, whose places are drawn anew in every
frame, evenly over the globe. The workflow itself runs, two jobs at a time, to the archive and the scores. Writes, by
size, `values` of a frame, and of each step `seconds`, `cpu_seconds` (sums over its jobs) and `peak_mb` (of its largest
job); `exponents`: of cost against the number of values, from the logarithms of cost of every step; and, with more than
one number of rows, the exponent in rows at the first size. `--device cuda` trains and analyses on a GPU.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import cases
import numpy as np
import pandas as pd
import torch
import xarray as xr

sys.path.insert(0, str(cases.ROOT))

from hindsight import harmonics, machine  # noqa: E402
from hindsight.progress import Progress  # noqa: E402
from tests.workflow import runs  # noqa: E402

SIZES = ("32x64x4", "61x120x4", "61x120x20", "121x240x4", "121x240x20")
QUICK = ("12x24x4", "16x32x4")
LEVELS = (850, 700, 500, 300, 200)  # hPa, of which a quarter of the channels are taken
TRAINING, HELD_OUT, ANALYSED = 1000, 40, 60  # frames
START, STEP = np.datetime64("2001-01-01T00", "ns"), np.timedelta64(6, "h")
VARIABLES = {  # mean, standard deviation, CF standard name, units
    "z": (50000.0, 1000.0, "geopotential", "m2 s-2"),
    "t": (260.0, 6.0, "air_temperature", "K"),
    "u": (0.0, 8.0, "eastward_wind", "m s-1"),
    "v": (0.0, 8.0, "northward_wind", "m s-1"),
}
ERROR = 0.1  # of a report, in standard deviations
SEED = 5


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="latitudes x longitudes x channels, smallest first")
    parser.add_argument(
        "--rows", nargs="+", type=int, default=[20000], help="reports in a frame, several at the first size"
    )
    parser.add_argument("--steps", type=int, default=20, help="training steps")
    parser.add_argument("--device", default="auto", help="of training and analysis")
    parser.add_argument("--folder", type=Path, help="where the runs go; none: a folder that is taken away")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--quick", action="store_true", help="two small globes, few frames: a check that it runs")
    chosen = parser.parse_args()
    sizes, rows = (QUICK, [200, 400]) if chosen.quick else (chosen.sizes, chosen.rows)
    frames = (40, 8, 6) if chosen.quick else (TRAINING, HELD_OUT, ANALYSED)
    folder = (chosen.folder or Path(tempfile.mkdtemp())).absolute()
    try:
        found = {size: measured(folder / size, size, rows[-1], frames, chosen) for size in sizes}
        fewer = [measured(folder / f"{sizes[0]}-{n}", sizes[0], n, frames, chosen) for n in rows[:-1]]
    finally:
        if not chosen.folder:
            shutil.rmtree(folder)
    result = {
        "sizes": found,
        "exponents": exponents([*found.values()], "values"),
        "exponents_in_rows": exponents([*fewer, found[sizes[0]]], "rows"),
        "processor": machine.device_name(),
        "device": chosen.device,
        "quick": chosen.quick,
    }
    print(json.dumps(result, indent=1))
    cases.write(result, chosen.json)


def measured(folder: Path, size: str, rows: int, frames: tuple[int, int, int], chosen: argparse.Namespace) -> dict:
    """Make the data of a size, run the workflow on it, and read what its jobs took."""
    height, width, channels = map(int, size.split("x"))
    levels, periods = LEVELS[: channels // len(VARIABLES)], split(frames)
    folder.mkdir(parents=True)
    weather(folder / "data", height, width, levels, sum(frames), size)
    reports(folder / "data", levels, rows, frames[-1])
    config = configuration(folder / "data", levels, periods, chosen)
    runs.snakemake(folder, config, "verify", "archive", real=True)
    print(f"{size}, {rows} rows: done", file=sys.stderr, flush=True)
    return {"values": height * width * channels, "rows": rows, "steps": taken(folder / "logs/scale")}


def split(frames: tuple[int, int, int]) -> dict[str, dict[str, str]]:
    """The periods of training, validation and test, one after the other."""
    ends = np.cumsum([0, *frames])
    times = START + STEP * np.arange(ends[-1])
    name = lambda k: str(np.datetime_as_string(times[k], "m"))
    return {
        period: {"start": name(a), "end": name(b - 1)}
        for period, a, b in zip(("train", "validation", "test"), ends, ends[1:])
    }


def weather(folder: Path, height: int, width: int, levels: tuple[int, ...], count: int, name: str) -> None:
    """Write frames of every variable and level, a file for each 100 of them."""
    folder.mkdir()
    latitude = np.linspace(90, -90, height) if height % 2 else -90 + 180 * (np.arange(height)[::-1] + 0.5) / height
    coordinates = {"latitude": latitude, "longitude": np.arange(width) * 360 / width, "level": list(levels)}
    made, progress = Weather(latitude, width, len(levels)), Progress(f"weather {name}", count, "frames")
    for first in range(0, count, 100):
        times = START + STEP * np.arange(first, min(first + 100, count))
        fields = [made.step(first + number) for number in range(len(times)) if progress(first + number) is None]
        data = {
            variable: (
                ("time", "level", "latitude", "longitude"),
                np.stack([one[k] for one in fields]),
                {"units": units},
            )
            for k, (variable, (_, _, _, units)) in enumerate(VARIABLES.items())
        }
        xr.Dataset(data, coordinates | {"time": times}).to_netcdf(folder / f"fields-{first:05d}.nc")
    progress(count)


class Weather:
    """Random weather on a globe, one frame after the other.

    Args:
        latitude: degrees north (H,).
        width: points on a circle of latitude.
        levels: number of levels, L.
    """

    def __init__(self, latitude: np.ndarray, width: int, levels: int) -> None:
        truncation = min((width - 1) // 2, len(latitude) - 1)
        self.harmonics = harmonics.Harmonics(latitude, width, truncation)
        less, more = harmonics.wind_functions(latitude, truncation)
        self.wind = (less + more) / 2, (more - less) / 2  # A and B of a streamfunction: u = A, v = i B
        degree = np.arange(truncation + 1.0)
        inside = (degree >= degree[:, None]) & (degree > 0)
        self.size = torch.as_tensor(np.sqrt(inside * (1 + (degree / 8) ** 2) ** -1.5 / (2 * degree + 1)))
        self.memory = torch.as_tensor(np.exp(-0.25 / (5 * np.maximum(degree, 1) ** -0.5)))
        apart = np.abs(np.subtract.outer(np.arange(levels), np.arange(levels)))
        self.mixing = torch.as_tensor(np.linalg.cholesky(np.exp(-apart / 3.0)))
        self.state, self.scale = self._noise(0), None

    def step(self, number: int) -> np.ndarray:
        """The next frame, in units (variables, L, H, W)."""
        self.state = self.memory * self.state + (1 - self.memory**2).sqrt() * self._noise(number + 1)
        mass, heat, stream = self.state
        waves = [self.harmonics.legendre(part, self.harmonics.table) for part in (mass, heat)]
        flow = stream / self.harmonics.degree.clamp(min=1)  # winds have the spectrum of the others
        waves += [self.harmonics.legendre(flow, self.wind[0]), 1j * self.harmonics.legendre(flow, self.wind[1])]
        fields = np.stack([self.harmonics.rows(part).numpy() for part in waves])
        if self.scale is None:
            self.scale = fields.std((1, 2, 3), keepdims=True)
            self.scale[2:] = fields[2:].std()  # a wind is turned, not stretched, across a pole
        mean, spread = (np.array([one[k] for one in VARIABLES.values()])[:, None, None, None] for k in (0, 1))
        return (mean + spread * fields / self.scale).astype(np.float32)

    def _noise(self, number: int) -> torch.Tensor:
        """Independent coefficients of mass, heat and streamfunction, correlated between levels (3, L, m, l)."""
        shape = (3, len(self.mixing), *self.size.shape)
        draws = np.random.default_rng((SEED, number)).standard_normal((2, *shape))
        draws[1, :, :, 0] = 0  # the zonal means are real
        drawn = torch.complex(*map(torch.as_tensor, draws)) * self.size
        return torch.einsum("kl,clmn->ckmn", self.mixing.to(drawn.dtype), drawn)


def reports(folder: Path, levels: tuple[int, ...], rows: int, frames: int) -> None:
    """Write reports of the last frames, with errors: of random grid points, as many everywhere on the globe.

    Their places differ from frame to frame.
    """
    fields = xr.open_mfdataset(sorted(folder.glob("fields-*.nc"))).isel(time=slice(-frames, None))
    generator, variables, parts = np.random.default_rng((SEED, 1 << 30)), list(VARIABLES), []
    area = np.cos(np.deg2rad(fields["latitude"].values)).clip(1e-3)
    for time in fields["time"].values:
        frame = fields.sel(time=time).load()
        shape = (len(variables), len(levels), frame.sizes["longitude"])
        variable, level, column = (generator.integers(size, size=rows) for size in shape)
        row = generator.choice(len(area), rows, p=area / area.sum())
        values = np.stack([frame[name].values for name in variables])[variable, level, row, column]
        spread = np.array([VARIABLES[name][1] for name in variables])[variable]
        table = {
            "time": time,
            "latitude": frame["latitude"].values[row],
            "longitude": frame["longitude"].values[column],
            "station": [f"{name}{number}" for number, name in enumerate(np.array(variables)[variable])],
            "pressure": np.array(levels, float)[level],
            "variable": np.array(variables)[variable],
            "value": values + ERROR * spread * generator.standard_normal(rows),
        }
        parts.append(pd.DataFrame(table))
    pd.concat(parts, ignore_index=True).to_parquet(folder / "reports.parquet", index=False)


def configuration(data: Path, levels: tuple[int, ...], periods: dict, chosen: argparse.Namespace) -> dict:
    """The settings of a run."""
    columns = {name: name for name in ("time", "latitude", "longitude", "station", "pressure")}
    values = [
        {"name": name, "column": "value", "quantity": quantity, "units": units, "where": {"variable": [name]}}
        for name, (_, _, quantity, units) in VARIABLES.items()
    ]
    shortened = {"halo": 0, "stride": 8, "threads": 1, "device": chosen.device, "solver_tolerance": 0.005}
    return {
        "run": "scale",
        "data": str(data),
        "domain": {
            "channels": [{name: list(levels)} for name in VARIABLES],
            "step_hours": 6,
            "latitude_edges": "pole",
            "longitude_edges": "periodic",
        }
        | periods,
        "download": {"source": "local", "dataset": "scale", "files": ["fields-*.nc"], "title": "random weather"},
        "preprocess": {"annual_harmonics": 0, "daily_harmonics": 0},
        "observe": {
            "reports": {
                "random": {
                    "source": "table",
                    "files": ["reports.parquet"],
                    "table": {"columns": columns, "values": values, "platform": "sonde"},
                }
            },
            "quality": {"calibrate": False, "bias": {"days": None}},
            "measurements": [{"kind": name, "error": ERROR * spread} for name, (_, spread, _, _) in VARIABLES.items()],
            "networks": {"random": {"kind": "reports", "withheld": 0.1}},
        },
        "train": {
            "steps": chosen.steps if not chosen.quick else 2,
            "batch": 4,
            "window": 8,
            "threads": 1,
            "device": chosen.device,
            "validate_every": max(chosen.steps, 1),
            "linear_prior": {"basis": "waves", "modes": 300},
            "backbone": {"patch": 4, "width": 64, "multipliers": [1, 2]},
            "audit": {"windows": 4},
        },
        "reanalyse": shortened,
        "product": {"members": 4, "member_block": 4, "shard_frames": 60},
        "baselines": {"methods": ["climatology"], "climatology": {"days": 180}},
        "verify": {"resamples": 20},
        "archive": {
            "network": "random",
            "chunk_frames": 10,
            "title": "random weather",
            "summary": "a benchmark",
            "licence": "none",
        },
    }


def taken(logs: Path) -> dict[str, dict[str, float]]:
    """What the jobs of each step took, by the step's name; nothing is known of the memory of the shortest."""
    found: dict[str, list[pd.Series]] = {}
    for path in sorted(logs.rglob("*.tsv")):
        found.setdefault(path.stem.split("-")[0], []).append(pd.read_csv(path, sep="\t", na_values="-").iloc[0])
    return {
        step: {
            "seconds": round(float(sum(job["s"] for job in jobs)), 1),
            "cpu_seconds": round(float(np.nansum([job["cpu_time"] for job in jobs])), 1),
            "peak_mb": round(max(float(np.nan_to_num(job["max_rss"])) for job in jobs)),
        }
        for step, jobs in found.items()
    }


def exponents(measured: list[dict], of: str) -> dict[str, float]:
    """The slope of the logarithm of the processor's seconds against that of the values or rows, by step."""
    if len({one[of] for one in measured}) < 2:
        return {}
    size, found = np.log([one[of] for one in measured]), {}
    for step in sorted(set.intersection(*(set(one["steps"]) for one in measured))):
        cost = np.array([one["steps"][step]["cpu_seconds"] for one in measured])
        if (cost > 0).all():
            found[step] = round(float(np.polyfit(size, np.log(cost), 1)[0]), 2)
    return found


if __name__ == "__main__":
    main()
