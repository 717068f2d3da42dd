"""Speed and memory of preprocessing, compared with copying the same store chunk by chunk and with xarray-regrid.

    python benchmarks/preprocess.py [--quick] [--json results/preprocess.json]

The input is made here, in parts with the layout of `download.part.write`: four variables on five levels and two
without levels at 1.5 degrees, float32, travelling planetary waves with noise of a thousandth of their amplitude, so
that the low bits are random, as in means over cells. `compression` reports how well this compresses; the figures
depend on it.

* `chain`: the pipeline's steps, through their `run`: regrid to 5.625 degrees (decode, regrid, check, write), moments,
  join, climatology, statistics; one process for each piece, and one for the steps after them.
* `copy`: the same arrays, read and written chunk by chunk with Zarr, the same compressor and the same number of
  threads, once with a thread pool (`pool`), once with Dask (`dask`); the faster of the two counts in each round.
* `peer`: ten lines of xarray-regrid and Dask: open, regrid, write in plain chunks. Compared with `preprocess.regrid`
  alone, because it makes no statistics; nor does it check values or compute a digest.

Speed is in bytes of decoded input per second. All read the same files from the page cache (the small input fits);
rounds alternate, medians count, imports are not timed. Peak memory (`ru_maxrss`, imports included) is that of the
largest process of the chain; it must not grow with the input. `--quick` takes smaller inputs, and compares fields,
climatology and statistics with brute force.

Last comes 0.25 degrees, rounded to 16 bits as in GRIB: the same chain, and from its cost a forecast for 40 years of the
globe at one degree.
"""

import argparse
import functools
import json
import multiprocessing
import resource
import shutil
import statistics as means
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import dask
import dask.array
import distributed  # noqa: F401  (xarray imports both only when it writes, and imports are not to be timed)
import netCDF4  # noqa: F401
import numpy as np
import psutil
import xarray as xr
import zarr

from hindsight.download import part
from hindsight.fields import intervals, store
from hindsight.fields.grid import Grid
from hindsight.fields.regridding import regular_grid
from hindsight.fields.scaling import harmonics
from hindsight.preprocess import climatology, join, moments, regrid, statistics
from hindsight.settings import Domain, Preprocess

START = datetime(2000, 1, 1)
DAY = np.timedelta64(1, "D")
LEVELS = (250, 500, 700, 850, 1000)
VARIABLES = {  # what WeatherBench 2 calls it: letter, units, mean, size of its waves
    "geopotential": ("z", "m2 s-2", 5e4, 1e3),
    "temperature": ("t", "K", 260.0, 8.0),
    "u_component_of_wind": ("u", "m s-1", 0.0, 10.0),
    "v_component_of_wind": ("v", "m s-1", 0.0, 10.0),
    "2m_temperature": ("t2m", "K", 285.0, 8.0),
    "mean_sea_level_pressure": ("msl", "Pa", 1.01e5, 1e3),
}
STEPS = ("regrid", "moments", "join", "climatology", "statistics")
ON_LEVELS = ("z", "t", "u", "v")
WAVES, NOISE = 8, 1e-3
FINE = ("geopotential", "temperature")  # of what 0.25 degrees is timed with


@dataclass(frozen=True)
class Work:
    """An input and its outputs.

    Args:
        folder: folder of both.
        parts: number of parts of the input.
        frames: frames of a part.
        settings: settings of preprocessing.
        grid: grid of the input.
        variables: WeatherBench 2's names of the input's variables.
        levels: their levels, for variables that have them (hPa).
        packed: whether values are rounded to 16 bits of their range.
        threads: number of threads of everything that is timed.
    """

    folder: Path
    parts: int
    frames: int
    settings: Preprocess
    grid: Grid
    variables: tuple[str, ...] = tuple(VARIABLES)
    levels: tuple[int, ...] = LEVELS
    packed: bool = False
    threads: int = 2

    @property
    def raw(self) -> list[Path]:
        """The parts' stores."""
        return [self.folder / f"parts/{number}.zarr" for number in range(self.parts)]

    @property
    def out(self) -> Path:
        """Where results go."""
        return self.folder / "out"

    def meeting(self, name: str) -> list[Path]:
        """The parts that a piece has frames of."""
        piece = intervals.parse(name, 24)
        first = (piece.start - np.datetime64(START, "h")) // DAY
        return self.raw[first // self.frames : -(-(first + piece.frames) // self.frames)]

    @property
    def channels(self) -> list[str]:
        """All that the input has."""
        letters = [VARIABLES[name][0] for name in self.variables]
        return [c for x in letters for c in ([f"{x}{level}" for level in self.levels] if x in ON_LEVELS else [x])]

    @property
    def decoded(self) -> int:
        """Bytes of float32."""
        return 4 * self.parts * self.frames * len(self.channels) * int(np.prod(self.grid.shape))

    @property
    def domain(self) -> Domain:
        """All frames, one a day; the last two to validate and to test on."""
        last = START + timedelta(days=self.parts * self.frames - 1)
        ends = {"train": (START, last - timedelta(days=2)), "validation": (last - timedelta(days=1),) * 2}
        periods = {name: {"start": start, "end": end} for name, (start, end) in (ends | {"test": (last, last)}).items()}
        edges = {"latitude_edges": "pole", "longitude_edges": "periodic"}
        return Domain.model_validate({"channels": self.channels, "step_hours": 24} | edges | periods)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--folder", type=Path, help="where up to 25 GB may lie while it runs; none: the system's /tmp")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a minute or two: less data, and results checked")
    chosen = parser.parse_args()
    found = {}
    for measure in (coarse, fine):
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            found |= measure(Path(folder), chosen)
    found |= {"threads": chosen.threads, "compressor": "zstd, Zarr's default", "dtype": "float32", "device": "CPU"}
    found |= {"quick": chosen.quick, "date": datetime.now(UTC).isoformat(timespec="seconds")}
    for name, value in found.items():
        print(f"{name:36}{value:.4g}" if isinstance(value, float) else f"{name:36}{value}")
    found["plan"] = plan(found)
    show(found["plan"])
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1))


def coarse(folder: Path, chosen: argparse.Namespace) -> dict:
    """1.5 to 5.625 degrees: speeds on a small input, and the peak also on a large one that begins with the small."""
    cut = {"piece_frames": 256, "file_frames": 256} if chosen.quick else {}
    parts, frames, levels = (4, 196, LEVELS[:2]) if chosen.quick else (8, 980, LEVELS)
    settings = Preprocess(spacing=5.625, **cut)
    large = Work(folder, parts, frames, settings, regular_grid(1.5, True), levels=levels, threads=chosen.threads)
    small = replace(large, parts=2)
    in_new_process(make, large)
    rounds = [one_round(small) for _ in range(1 if chosen.quick else chosen.rounds)]
    if chosen.quick:
        in_new_process(check, small)
    each = {name: means.median(row[name] for row in rounds) for name in rounds[0]}
    seconds, peak_large = chain(large)
    gigabytes = lambda work: work.decoded / 1e9
    return {
        "speed_ratio_to_copy": means.median(min(row["pool"], row["dask"]) / row["chain"] for row in rounds),
        "peak_mb_small": each["peak"],
        "peak_mb_large": peak_large,
        "input_gb_small": gigabytes(small),
        "input_gb_large": gigabytes(large),
        "speed_ratio_to_xarray_regrid": means.median(row["peer"] / row["regrid"] for row in rounds),
        "gb_per_second_chain": gigabytes(small) / each["chain"],
        "gb_per_second_chain_large": gigabytes(large) / sum(seconds.values()),
        **{f"gb_per_second_copy_{how}": gigabytes(small) / each[how] for how in COPIES},
        "gb_per_second_regrid": gigabytes(small) / each["regrid"],
        "gb_per_second_xarray_regrid": gigabytes(small) / each["peer"],
        **{f"share_{step}": each[step] / each["chain"] for step in STEPS},
        **{f"peak_mb_{name}": each[f"peak_{name}"] for name in (*COPIES, "peer")},
        "compression": large.decoded / size(folder / "parts"),
        "rounds": len(rounds),
    } | schedulers(small)


def one_round(work: Work) -> dict[str, float]:
    """Seconds of chain, copy and peer, one after the other, and their peak memory (MB)."""
    size(work.folder / "parts", read=True)
    steps, peak = chain(work)
    found = steps | {"chain": sum(steps.values()), "peak": peak}
    for name, job in {**COPIES, "peer": peer}.items():
        found[name], found[f"peak_{name}"] = in_new_process(job, work)
    print({name: round(value, 2) for name, value in found.items()}, flush=True)
    return found


def schedulers(work: Work) -> dict[str, float]:
    """How fast the step `regrid` is with Dask's other schedulers, threads being 1, and what memory all of it takes."""
    piece, seconds, found = intervals.pieces(work.domain, work.settings)[0].name, {}, {}
    for name in ("threads", "processes", "distributed"):
        shutil.rmtree(work.out)
        steps, peak = in_new_process(in_pieces, work, piece, name)
        seconds[name] = steps["regrid"]
        found |= {f"speed_ratio_to_threads_{name}": seconds["threads"] / steps["regrid"], f"peak_mb_{name}": peak}
    return found


def fine(folder: Path, chosen: argparse.Namespace) -> dict:
    """Measure two channels at 0.25 degrees, regridded to 1.5 degrees, and to one degree for the forecast."""
    found, cut = {}, {"annual_harmonics": 0, "chunk_frames": 16, "file_frames": 64}
    era5 = regular_grid(0.25, True)
    grid = Grid(era5.latitude[::-1], era5.longitude)
    for spacing in (1.5, 1.0):
        settings = Preprocess(spacing=spacing, poles=True, **cut)
        frames = 64 if chosen.quick else 384
        work = Work(folder, 1, frames, settings, grid, FINE, (500,), True, chosen.threads)
        if not work.raw[0].exists():
            in_new_process(make, work)
        size(work.folder / "parts", read=True)
        seconds, peak = chain(work)
        rates = {f"gb_per_second_{step}": work.decoded / 1e9 / seconds[step] for step in ("regrid", "moments")}
        rates |= {"gb_per_second_chain": work.decoded / 1e9 / sum(seconds.values()), "peak_mb": peak}
        rates |= {"compression_of_fields": 4 * values(work) / size(work.out / "fields.zarr")}
        found |= {f"fine_{spacing:g}_{name}": value for name, value in rates.items()}
    found |= {"fine_input_gb": work.decoded / 1e9, "fine_compression": work.decoded / size(folder / "parts")}
    return found | {"fine_chunk_frames": zarr.open_group(work.raw[0], mode="r")[FINE[0]].chunks[0]}


def values(work: Work) -> int:
    """Numbers in the fields that are made."""
    return int(np.prod(zarr.open_group(work.out / "fields.zarr", mode="r")["fields"].shape))


def plan(found: dict) -> list[dict]:
    """Forecast 40 years of ERA5, 6-hourly, from 0.25 degrees to one: bytes, files and hours, from the measurements."""
    frames, channels, points = 40 * 1461, 4 * len(LEVELS) + 2, int(np.prod(regular_grid(1.0, True).shape))
    raw, fields = (4e-9 * frames * channels * count for count in (721 * 1440, points))
    parts = [min(1460, frames - start) for start in range(0, frames, 1460)]
    chunks = channels * sum(-(-count // found["fine_chunk_frames"]) for count in parts)
    hours = lambda step: raw / found[f"fine_1_gb_per_second_{step}"] / 3600
    stored = raw / found["fine_compression"], fields / found["fine_1_compression_of_fields"]
    columns = "what", "decoded_gb", "stored_gb", "files", "hours"
    rows = [
        ("parts of 1460 frames", raw, stored[0], chunks, None),
        ("regrid: pieces of 4096 frames, 64 a file", fields, stored[1], -(-frames // 64), hours("regrid")),
        ("moments: of every piece", None, None, -(-frames // 4096), hours("moments")),
    ]
    return [dict(zip(columns, row)) for row in rows]


def show(rows: list[dict]) -> None:
    """Print the forecast."""
    tell = lambda value: "" if value is None else value if isinstance(value, str) else f"{value:,.4g}"
    print(
        "40 years of ERA5 every 6 hours, 22 channels, 0.25 to 1 degree, one job at a time; metadata files not counted"
    )
    for row in [dict.fromkeys(rows[0]) | {name: name for name in rows[0]}, *rows]:
        first, *rest = map(tell, row.values())
        print(f"{first:42}" + "".join(f"{cell:>12}" for cell in rest))


def in_new_process(job: Callable, *arguments: object) -> tuple[object, float]:
    """Run a job in a new process; return its result, and the peak memory (MB) of the process and its children."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        future, most = pool.submit(accounted, job, *arguments), 0
        while not future.done():
            most = max(most, sum(map(resident, psutil.Process().children(recursive=True))))
            time.sleep(0.05)
        result, own = future.result()
    return result, max(own, most / 2**20)


def accounted(job: Callable, *arguments: object) -> tuple[object, float]:
    """A job's result, and the peak memory (MB) of this process."""
    result = job(*arguments)
    return result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident(process: psutil.Process) -> int:
    """Resident bytes of a process; 0 if it has ended."""
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def size(folder: Path, read: bool = False) -> int:
    """Bytes of all files, which may be read, so that the page cache holds them."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(len(path.read_bytes()) if read else path.stat().st_size for path in files)


def make(work: Work) -> None:
    """Write the input, part by part."""
    with dask.config.set(scheduler="threads", num_workers=work.threads):
        for number, path in enumerate(work.raw):
            dataset = weather(work, number * work.frames)
            part.write(dataset, path, path.with_suffix(".json"), {"part": number}, {"name": "made up"})
    (work.folder / "manifest.json").write_text(json.dumps({"masked": []}))


def weather(work: Work, first: int) -> xr.Dataset:
    """A part of the input, lazily: what is written is made chunk by chunk."""
    times = np.datetime64(START, "ns") + (first + np.arange(work.frames)) * DAY
    rows = tuple(min(part.FRAMES, work.frames - start) for start in range(0, work.frames, part.FRAMES))
    found = {}
    for name in work.variables:
        letter, units, *_ = VARIABLES[name]
        levels = (1,) * len(work.levels) if letter in ON_LEVELS else (1,)
        block = functools.partial(chunk, grid=work.grid, name=name, first=first, packed=work.packed)
        shape = (rows, levels, *((count,) for count in work.grid.shape))
        values = dask.array.map_blocks(block, chunks=shape, dtype=np.float32, meta=np.empty((0,) * 4, np.float32))
        dims = "time", "level", "latitude", "longitude"
        variable = xr.Variable(dims, values, {"units": units})
        found[name] = variable if letter in ON_LEVELS else variable.isel(level=0)
    return xr.Dataset(found, {"time": times, "level": list(work.levels), **work.grid.coordinates})


def chunk(grid: Grid, name: str, first: int, packed: bool, block_info: dict | None = None) -> np.ndarray:
    """Waves that travel round the globe, the course of the year, and noise: (frames, 1, H, W), float32."""
    (start, stop), (level, _), *_ = block_info[None]["array-location"]
    key, (*_, mean, size) = list(VARIABLES).index(name), VARIABLES[name]
    generator, days = np.random.default_rng((key, level)), first + np.arange(start, stop)
    counts, powers, paces = generator.integers(1, 9, WAVES), generator.integers(1, 4, WAVES), generator.random(WAVES)
    north = np.cos(np.deg2rad(grid.latitude)).clip(0)[:, None, None] ** powers
    waves = north * np.exp(1j * counts * (np.deg2rad(grid.longitude)[:, None] + powers))
    courses = np.exp(1j * np.outer(days, paces + 0.5))
    shapes = np.concatenate([waves.real, waves.imag, np.ones((*grid.shape, 1))], -1).astype(np.float32)
    year = np.cos(2 * np.pi * days / 365.25)[:, None]
    times = np.concatenate([courses.real, courses.imag, year], -1).astype(np.float32) * np.float32(size / 2)
    values = times @ shapes.reshape(-1, shapes.shape[-1]).T
    generator = np.random.default_rng((key, level, first + start))
    values += np.float32(NOISE * size) * generator.standard_normal(values.shape, np.float32)
    if packed:
        step = np.float32(12 * size / 2**16)
        values = np.round(values / step, out=values) * step
    return (values + np.float32(mean)).reshape(stop - start, 1, *grid.shape)


def chain(work: Work) -> tuple[dict[str, float], float]:
    """Run the steps, one process per piece and one that merges; return seconds by step, and the peak memory (MB)."""
    shutil.rmtree(work.out, ignore_errors=True)
    names = [cut.name for cut in intervals.pieces(work.domain, work.settings)]
    jobs = [*(in_new_process(in_pieces, work, name) for name in names), in_new_process(merged, work, names)]
    seconds = {step: sum(found.get(step, 0.0) for found, _ in jobs) for step in STEPS}
    return seconds, max(peak for _, peak in jobs)


def in_pieces(work: Work, name: str, scheduler: str = "threads") -> dict[str, float]:
    """Run the steps of one piece; return seconds by step."""
    piece, sums = work.out / f"pieces/{name}", work.out / f"moments/{name}"
    given = {"raw": work.meeting(name), "manifest": work.folder / "manifest.json", "fields": piece}
    given |= {"scheduler": scheduler, "workers": str(work.threads)}
    return {
        "regrid": timed(regrid, work.domain, work.settings, piece=name, **given),
        "moments": timed(moments, work.domain, work.settings, piece=piece, moments=sums),
    }


def merged(work: Work, names: list[str]) -> dict[str, float]:
    """Run the steps that combine the pieces; return seconds by step."""
    pieces, sums = ([work.out / f"{kind}/{name}" for name in names] for kind in ("pieces", "moments"))
    there = {name: work.out / f"{name}.nc" for name in ("climatology", "statistics")}
    return {
        "join": timed(join, work.domain, pieces=pieces, fields=work.out / "fields.zarr"),
        "climatology": timed(climatology, work.domain, work.settings, moments=sums, climatology=there["climatology"]),
        "statistics": timed(statistics, work.domain, moments=sums, statistics=there["statistics"]),
    }


def timed(step: object, *sections: object, **paths: object) -> float:
    """Run a step; seconds."""
    began = time.perf_counter()
    step.run(*sections, **paths)
    return time.perf_counter() - began


def copied(work: Work, copy: Callable) -> float:
    """Read and write all arrays of the input chunk by chunk, with the same compressor; seconds."""
    there = work.folder / "copy"
    began = time.perf_counter()
    for path in work.raw:
        copy(path, there / path.name, work.threads)
    seconds = time.perf_counter() - began
    shutil.rmtree(there)
    return seconds


def with_pool(path: Path, there: Path, threads: int) -> None:
    """A store's copy by a pool of threads: each reads a chunk and writes it."""
    source, target = zarr.open_group(path, mode="r"), zarr.open_group(there, mode="w", zarr_format=3)
    with ThreadPoolExecutor(threads) as pool:
        for name, array in source.arrays():
            new = zarr.from_array(target.store, data=array, name=name, write_data=False)
            spans = ([slice(k, k + step) for k in range(0, n, step)] for n, step in zip(array.shape, array.chunks))
            jobs = [pool.submit(lambda at, a=array, b=new: b.__setitem__(at, a[at]), at) for at in product(*spans)]
            for job in jobs:
                job.result()


def with_dask(path: Path, there: Path, threads: int) -> None:
    """A store's copy by xarray and Dask."""
    with dask.config.set(scheduler="threads", num_workers=threads):
        xr.open_zarr(path, consolidated=False).to_zarr(there, zarr_format=3, consolidated=False)


COPIES = {"pool": functools.partial(copied, copy=with_pool), "dask": functools.partial(copied, copy=with_dask)}


def peer(work: Work) -> float:
    """Seconds that xarray-regrid and Dask take for the regridded store."""
    import xarray_regrid  # noqa: F401  (an accessor)

    there = work.folder / "peer"
    began = time.perf_counter()
    with dask.config.set(scheduler="threads", num_workers=work.threads):
        raw = xr.concat([xr.open_zarr(path, consolidated=False) for path in work.raw], "time")
        target = xr.Dataset(coords=regular_grid(work.settings.spacing, work.settings.poles).coordinates)
        found = raw.regrid.conservative(target, latitude_coord="latitude", skipna=False)
        found.drop_encoding().chunk(time=part.FRAMES).to_zarr(there, zarr_format=3, consolidated=False)
    seconds = time.perf_counter() - began
    shutil.rmtree(there)
    return seconds


def check(work: Work) -> None:
    """Compare the chain's results with brute force in double precision."""
    fields = store.read(work.out / "fields.zarr")["fields"]
    target = Grid.of(fields)
    north = overlaps(*(np.sin(np.deg2rad(edges(grid.latitude, True))) for grid in (target, work.grid)), 0)
    east = overlaps(edges(target.longitude), edges(work.grid.longitude), 360)
    for frame in (0, work.frames - 1, work.frames, 2 * work.frames - 1):  # both sides of where two parts meet
        raw = zarr.open_group(work.raw[frame // work.frames], mode="r")
        given = [np.asarray(raw[name][frame % work.frames]).reshape(-1, *work.grid.shape) for name in work.variables]
        exact = north @ np.concatenate(given).astype(float) @ east.T
        np.testing.assert_allclose(fields[frame], exact, rtol=1e-6, atol=1e-5)
    learnt = fields[:-2].values.astype(float).reshape(fields.shape[0] - 2, -1)
    design = harmonics(fields["time"].values[:-2], work.settings.annual_harmonics, work.settings.daily_harmonics)
    coefficients = np.linalg.lstsq(design, learnt)[0]
    shape = -1, *fields.shape[1:]
    fitted, seen = (xr.open_dataset(work.out / f"{name}.nc") for name in ("climatology", "statistics"))
    np.testing.assert_allclose(fitted["coefficients"], coefficients.reshape(shape), rtol=1e-6, atol=1e-5)
    rest = (learnt - design @ coefficients).reshape(shape)
    np.testing.assert_allclose(seen["spread"], np.sqrt(np.square(rest).mean((0, 2, 3))), rtol=1e-6)
    waves = np.fft.fft(rest, norm="forward")[..., : rest.shape[-1] // 2 + 1]
    weights = np.diff(np.sin(np.deg2rad(edges(target.latitude, True)))) / 2
    spectrum = np.einsum("tchm,tdhm,h->cdm", waves, waves.conj(), weights, optimize=True) / len(rest)
    found = seen["covariance_spectrum"].values
    np.testing.assert_allclose(found[0] + 1j * found[1], spectrum, atol=1e-6 * np.abs(spectrum).max())


def edges(points: np.ndarray, poles: bool = False) -> np.ndarray:
    """Half-way between points, and beyond; no farther than the poles."""
    half = (points[1] - points[0]) / 2
    found = np.append(points - half, points[-1] + half)
    return found.clip(-90, 90) if poles else found


def overlaps(target: np.ndarray, source: np.ndarray, turn: float) -> np.ndarray:
    """Shares of target cells in source cells, one pair after the other."""
    found = np.zeros((len(target) - 1, len(source) - 1))
    for (i, j), shift in product(np.ndindex(found.shape), {-turn, 0.0, turn}):
        start, stop = max(target[i], source[j] + shift), min(target[i + 1], source[j + 1] + shift)
        found[i, j] += max(0.0, stop - start) / (target[i + 1] - target[i])
    return found


if __name__ == "__main__":
    main()
