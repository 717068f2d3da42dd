"""Make the fields of a configuration, in one process or with Snakemake, and compare them with the truth.

Shared by `inputs.py` and `fuzz.py`. A run ends with fields, with a refusal (`UserError`), or with a fault (any other
exception).
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import yaml

from hindsight import settings
from hindsight.download import manifest, sources
from hindsight.download.bucket import bucket
from hindsight.download.grib import catalogue, grib
from hindsight.download.local import contents, local
from hindsight.download.transfer import files
from hindsight.errors import UserError
from hindsight.fields import intervals, store
from hindsight.preprocess import regrid, static

ROOT = Path(__file__).parents[1]
ROUNDING = 1e-6  # of the largest value: what a few operations in single precision may do
PLACE = 2e-4  # degrees: what single precision does to a coordinate, and what a tenth of a degree does not
ENDS = re.compile(r"WorkflowError:\s*At least one job did not complete successfully\.?")  # it always says so
FOREIGN = re.compile(
    r"Traceback|WorkflowError|MissingInputException|\b(?!CalledProcessError)\w+(Error|Exception) in (rule|file)"
)
FIELDS, STATIC = "preprocess/fields.zarr/zarr.json", "preprocess/static.nc"
TIMEOUT = 300  # seconds for a run of Snakemake


@dataclass(frozen=True)
class Outcome:
    """How a run ended: one of three.

    Attributes:
        fields: what it made, where it came to its end.
        says: the message of the refusal.
        fault: any other exception, in one line.
        more: the traceback, or everything that was printed.
    """

    fields: xr.Dataset | None = None
    says: str = ""
    fault: str = ""
    more: str = ""


@dataclass(frozen=True)
class Truth:
    """The right answer.

    Attributes:
        fields: (channel, time, latitude, longitude), in canonical units; of static fields (channel, latitude,
            longitude).
        atol: absolute error by channel that the packing of the source allows.
    """

    fields: xr.DataArray
    atol: dict[str, float] = field(default_factory=dict)


def inside(config: dict, folder: Path, target: str = FIELDS) -> Outcome:
    """Run the steps up to a target in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(sys.stderr):
            return Outcome(fields=_made(settings.read(config), folder, target).load())
    except UserError as error:
        return Outcome(says=f"{error}")
    except Exception as error:  # any other is a fault, whatever it is
        return Outcome(fault=_line(error), more=traceback.format_exc())


def _line(error: Exception) -> str:
    """An exception in one line, with the module and line in which it was raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "hindsight" in f.filename]
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}{place}"


def _made(chosen: settings.Settings, folder: Path, target: str) -> xr.Dataset:
    """Fields, or static fields, by the steps that the rules of the workflow take."""
    settings.check_files(chosen)
    (asked,) = _seen(chosen, "download", folder, settings.Download)
    raw, markers = _arrived(chosen, asked, folder)
    seen = _seen(chosen, "manifest", folder, settings.Domain, settings.Download, settings.Comparison)
    manifest.run(*seen, raw=raw, markers=markers, manifest=folder / "manifest.json")
    pieces = _pieces(chosen, folder, raw)
    if target == STATIC:
        return _still(chosen, folder, pieces[0], raw[0])
    return xr.concat([store.read(piece) for piece in pieces], "time", data_vars="minimal", coords="minimal")


def _seen(chosen: settings.Settings, stage: str, folder: Path, *sections: type) -> list:
    """The settings as a step reads them, from the file that the workflow writes."""
    path = folder / f"{stage}.json"
    path.write_text(settings.stage_settings(chosen, stage))
    return settings.load(path, list(sections))


def _arrived(chosen: settings.Settings, asked: settings.Download, folder: Path) -> tuple[list[Path], list[Path]]:
    """Fetch every part; their stores and markers."""
    for path, url in settings.remote_files(asked).items():
        files.run(asked, url=url, file=Path(path))
    given = _sources(asked, chosen.data, folder)
    if asked.source == "local":
        contents.run(asked, files=given, contents=folder / "contents.json")
    if asked.source == "grib":
        catalogue.run(asked, files=given, catalogue=folder / "catalogue.parquet")
    names = [cut.name for cut in intervals.parts(settings.download_request(chosen))]
    raw, markers = [folder / f"{n}.zarr/zarr.json" for n in names], [folder / f"{n}.json" for n in names]
    for name, store_, marker in zip(names, raw, markers):
        _part(asked, folder, part=name, raw=store_, marker=marker)
    return raw, markers


def _sources(asked: settings.Download, data: str, folder: Path) -> list[Path]:
    """The source's files, as they are handed to steps."""
    if asked.source == "bucket":
        return []
    sources.run(asked, data=data, sources=folder / "sources.json")
    return list(map(Path, json.loads((folder / "sources.json").read_text())))


def _part(asked: settings.Download, folder: Path, **paths: object) -> None:
    if asked.source == "bucket":
        bucket.run(asked, **paths)
    elif asked.source == "grib":
        grib.run(asked, catalogue=folder / "catalogue.parquet", **paths)
    else:
        local.run(asked, contents=folder / "contents.json", **paths)


def _pieces(chosen: settings.Settings, folder: Path, raw: list[Path]) -> list[Path]:
    """Bring every piece to the pipeline's layout."""
    seen = _seen(chosen, "regrid", folder, settings.SECTIONS["domain_without_periods"], settings.SECTIONS["regrid"])
    parts, made = intervals.parts(settings.download_request(chosen)), []
    for piece in intervals.pieces(chosen.domain, chosen.preprocess):
        met = [path for path, part in zip(raw, parts) if part.overlaps(piece.start, piece.last)]
        made.append(folder / f"pieces/{piece.name}.zarr/zarr.json")
        how = {"scheduler": "synchronous", "workers": "1", "manifest": folder / "manifest.json"}
        regrid.run(*seen, piece=piece.name, raw=met, fields=made[-1], **how)
    return made


def _still(chosen: settings.Settings, folder: Path, fields: Path, raw: Path) -> xr.Dataset:
    (seen,) = _seen(chosen, "preprocess", folder, settings.Preprocess)
    given = list(map(Path, settings.static_files(chosen)))
    static.run(seen, fields=fields, raw=raw, given=given, static=folder / "static.nc")
    return xr.open_dataset(folder / "static.nc")


def workflow(config: dict, folder: Path, target: str = FIELDS) -> Outcome:
    """Run Snakemake up to a target, as a person would, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    words = ["--snakefile", str(ROOT / "Snakefile"), "--profile", str(ROOT / "profiles/local"), "--cores", "1"]
    words += ["--configfile", str(folder / "config.yaml"), "--directory", str(folder), "--", f"results/c/{target}"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=os.environ | {"PATH": path},
        timeout=TIMEOUT,
    )
    if done.returncode:
        return _refused(folder, done.stdout)
    made = folder / f"results/c/{target}"
    found = xr.open_dataset(made) if target == STATIC else store.read(made)
    return Outcome(fields=found.load(), more=done.stdout)


def _refused(folder: Path, printed: str) -> Outcome:
    """What a run that failed said: in a step's log, or before any step."""
    logs = [path.read_text(errors="replace") for path in sorted(folder.glob("logs/**/*.log"))]
    everything = ENDS.sub("", "\n".join([printed, *logs]))
    if foreign := FOREIGN.search(everything):
        return Outcome(fault=_around(foreign[0], everything), more=everything)
    said = [log[at.start() :] for log in logs if (at := re.search(r"^hindsight [a-z_]+\.[a-z_]+: ", log, re.M))]
    return Outcome(says="\n".join(said) or printed, more=everything)


def _around(word: str, text: str) -> str:
    """The line that tells most about an exception: the last of the traceback, or the one that names it."""
    lines = [line.strip() for line in text.splitlines()]
    named = [line for line in lines if re.match(r"[A-Za-z_.]*(Error|Exception)\b", line)]
    named = [line for line in named if not line.startswith(("CalledProcessError", "RuleException"))]
    return (named or [line for line in lines if word in line])[-1][:200]


class Mismatch(Exception):
    """A difference between fields and the truth."""


def judge(found: xr.Dataset, truth: Truth, config: dict) -> str:
    """Whether fields are right: `right`, or `wrong: ` and what they are."""
    try:
        right = _aligned(found, truth.fields)
        if "fields" in found:
            _same(*_of_frames(found, right, config), truth.atol)
        else:
            _same(found[list(map(str, right["channel"].values))].to_dataarray("channel"), right, truth.atol)
    except Mismatch as wrong:
        return f"wrong: {wrong}"
    return "right"


def frame_times(config: dict) -> np.ndarray:
    """Times of the frames of all splits; an end without an hour is a whole day."""
    domain, found = config["domain"], []
    for name in ("train", "validation", "test"):
        start, end = (str(domain[name][edge]) for edge in ("start", "end"))
        last = pd.Timestamp(end) + (pd.Timedelta(0) if "T" in end else pd.Timedelta("1D") - pd.Timedelta("1s"))
        found += list(pd.date_range(pd.Timestamp(start), last, freq=f"{domain.get('step_hours', 24)}h"))
    return np.array(found, "datetime64[ns]")


def _aligned(found: xr.Dataset, right: xr.DataArray) -> xr.DataArray:
    """A truth on the points that were found; longitudes may count from elsewhere."""
    for name, turn in (("latitude", np.inf), ("longitude", 360.0)):
        given, expected = found[name].values.astype(float), right[name].values.astype(float)
        if given.shape != expected.shape:
            raise Mismatch(f"{len(given)} {name}s, and not {len(expected)}")
        if (np.diff(given) <= 0).any():
            raise Mismatch(f"the {name}s do not rise")
        apart = np.abs(given[:, None] - expected)
        apart = np.minimum(apart, np.abs(turn - apart))
        if name == "longitude" and len(given) > 2 and np.ptp(np.diff(given)) > 4 * PLACE:
            raise Mismatch("the longitudes are not evenly spaced")
        if apart.min(1).max() > PLACE or len(set(apart.argmin(1))) < len(given):
            raise Mismatch(f"{name} {given[0]:g} to {given[-1]:g}, and not {expected[0]:g} to {expected[-1]:g}")
        right = right.isel({name: apart.argmin(1)}).assign_coords({name: found[name].values})
    return right


def _of_frames(found: xr.Dataset, right: xr.DataArray, config: dict) -> tuple[xr.DataArray, xr.DataArray]:
    """Values and truth of the frames that both have; those between the splits, not requested, may be missing."""
    asked = frame_times(config)
    if missing := sorted(set(asked) - set(found["time"].values[found["available"].values])):
        raise Mismatch(f"no frame at {missing[0].astype('datetime64[m]')} ({len(missing)} of them)")
    times = np.intersect1d(found["time"].values, right["time"].values)
    values, right = found["fields"].sel(time=times), right.sel(time=times)
    return values.where(values.notnull() | np.isin(times, asked)[:, None, None, None], right), right


def _same(values: xr.DataArray, right: xr.DataArray, atol: dict[str, float]) -> None:
    for name in right["channel"].values:
        expected = right.sel(channel=name)
        given = values.sel(channel=name).transpose(*expected.dims).values.astype(float)
        close = ROUNDING * np.nanmax(np.abs(expected.values)) + atol.get(name, 0.0)
        apart = ~(np.abs(given - expected.values) <= close)
        if apart.any():
            at, share = tuple(np.argwhere(apart)[0]), f"in {apart.mean():.0%} of the values"
            raise Mismatch(f"{name} is {given[at]:.7g} and not {expected.values[at]:.7g} {share}")


def of(values: dict[str, np.ndarray], times: object, latitude: np.ndarray, longitude: np.ndarray) -> xr.DataArray:
    """A truth from arrays (time, latitude, longitude), or numbers, by channel, latitudes any way up."""
    shape = len(times), len(latitude), len(longitude)
    stacked = np.stack([np.broadcast_to(np.asarray(v, float), shape) for v in values.values()])
    coords = {"channel": list(values), "time": np.array(times, "datetime64[ns]")}
    coords |= {"latitude": np.asarray(latitude, float), "longitude": np.asarray(longitude, float)}
    return xr.DataArray(stacked, coords, ("channel", "time", "latitude", "longitude")).sortby("latitude")
