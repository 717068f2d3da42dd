"""Small sources whose truth is known, before mutations change how they are written.

A plain source has random fields of some channels on a regular grid, in one netCDF file with the names and units of the
Climate Data Store. Mutations change how it is written, rarely the truth, and set the expected result: `right` (the
truth), `refused` (a `UserError`), or `either`.
"""

import string
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import yaml
from chain import Truth

SPREAD = {  # variable: mean, standard deviation, units
    "t2m": (280, 8, "K"), "d2m": (270, 5, "K"), "msl": (101000, 900, "Pa"), "u10": (0, 6, "m s**-1"),
    "v10": (0, 6, "m s**-1"), "z": (54000, 900, "m**2 s**-2"), "t": (270, 9, "K"), "u": (10, 12, "m s**-1"),
    "q": (0.006, 0.001, "kg kg**-1"), "tp": (0.002, 0.0003, "m"),
}  # fmt: skip
OTHER_UNITS = {  # units above: another spelling or unit, with the factor and offset that convert it back
    "K": [("degC", 1, 273.15), ("Celsius", 1, 273.15), ("degree_Celsius", 1, 273.15), ("degF", 5 / 9, 459.67 * 5 / 9),
          ("kelvin", 1, 0), ("Kelvin", 1, 0), ("deg_K", 1, 0)],
    "Pa": [("hPa", 100, 0), ("millibars", 100, 0), ("mb", 100, 0), ("kPa", 1000, 0), ("Pascals", 1, 0)],
    "m s**-1": [("m/s", 1, 0), ("knots", 1852 / 3600, 0), ("km/h", 1 / 3.6, 0), ("m.s-1", 1, 0), ("cm s-1", 0.01, 0)],
    "m**2 s**-2": [("gpm", 9.80665, 0), ("m", 9.80665, 0), ("J kg-1", 1, 0), ("m2 s-2", 1, 0), ("dam", 98.0665, 0)],
    "kg kg**-1": [("g/kg", 1e-3, 0), ("g kg-1", 1e-3, 0), ("1", 1, 0), ("kg/kg", 1, 0)],
    "m": [("mm", 1e-3, 0), ("kg m-2", 1e-3, 0), ("cm", 1e-2, 0), ("inches", 0.0254, 0), ("metres", 1, 0)],
}  # fmt: skip
OTHER_NAMES = {
    "t2m": ["2t", "2m_temperature", "tas"], "d2m": ["2d", "2m_dewpoint_temperature"],
    "msl": ["mean_sea_level_pressure", "psl", "mslp"], "u10": ["10u", "10m_u_component_of_wind", "uas"],
    "v10": ["10v", "10m_v_component_of_wind", "vas"], "z": ["geopotential"], "t": ["temperature", "ta"],
    "u": ["u_component_of_wind", "ua"], "q": ["specific_humidity", "hus"], "tp": ["total_precipitation"],
}  # fmt: skip
COORDINATES = {
    "latitude": ["lat"], "longitude": ["lon"], "time": ["valid_time"],
    "level": ["isobaricInhPa", "pressure_level", "plev", "lev", "pressure", "isobaric"],
}  # fmt: skip
CHANNELS = (
    ("t2m", "msl"), ("t2m", "d2m", "u10"), ("z500", "t850"), ("t500", "t850"), ("t2m", "z500"), ("u850", "msl"),
    ("q850", "t2m"), ("u10", "v10"), ("t850",), ("msl",),
)  # fmt: skip
GRIDS = {  # latitudes and longitudes, from the south and the west
    "europe": (np.arange(40, 60.1, 5.0), np.arange(-10, 15.1, 5.0)),
    "tenths": (np.arange(453, 460) / 10, np.arange(-3, 6) / 10),
    "quarters": (np.arange(40, 41.6, 0.25), np.arange(4, 5.6, 0.25)),
    "globe": (np.arange(-75, 76, 30.0), np.arange(0, 360, 30.0)),
    "poles": (np.arange(-90, 91, 30.0), np.arange(0, 360, 45.0)),
    "pacific": (np.arange(-20, 21, 10.0), np.arange(160, 211, 10.0)),
}
ORDER = ("right", "either", "refused")
LEVELS = (500.0, 850.0)


@dataclass
class Part:
    """One file or store: what is in it, and how it is written."""

    dataset: xr.Dataset
    form: str = "NETCDF4"
    encoding: dict = field(default_factory=dict)


@dataclass
class Source:
    """Files and a configuration, the truth, and the expected result."""

    truth: xr.DataArray
    parts: list[Part]
    config: dict
    expected: str = "right"
    atol: dict = field(default_factory=dict)
    after: list[Callable[[Path], None]] = field(default_factory=list)

    def may(self, expected: str) -> None:
        """Lower the expected result to this, if it is better."""
        self.expected = max(self.expected, expected, key=ORDER.index)

    def set(self, section: str, **settings: object) -> None:
        """Change settings of a section."""
        self.config.setdefault(section, {}).update(settings)

    def everywhere(self, change: Callable[[xr.Dataset], xr.Dataset]) -> None:
        """Change the datasets of all files."""
        for part in self.parts:
            part.dataset = change(part.dataset)

    @property
    def variables(self) -> list[str]:
        """The present names of the requested variables."""
        return list(
            dict.fromkeys(str(n) for part in self.parts for n, v in part.dataset.items() if v.ndim > 2 and n != "sst")
        )


def plain(rng: np.random.Generator, channels: tuple = (), grid: str = "", step: int = 0, frames: int = 0) -> Source:
    """A plain source of random fields; arguments that are left out are drawn at random."""
    channels = channels or CHANNELS[rng.integers(len(CHANNELS))]
    latitude, longitude = GRIDS[grid or list(GRIDS)[rng.integers(len(GRIDS))]]
    step, frames = step or int(rng.choice([24, 24, 6, 3, 1])), frames or int(rng.integers(18, 30))
    times = pd.date_range("2023-01-01", periods=frames, freq=f"{step}h")
    shape, dims = (frames, len(latitude), len(longitude)), ("time", "latitude", "longitude")
    coords = {"time": times, "latitude": latitude[::-1], "longitude": longitude}
    fields, variables = {}, {}
    for channel in channels:
        name, levelled = (channel.rstrip("0123456789"), True) if channel not in SPREAD else (channel, False)
        mean, deviation, units = SPREAD[name]
        draw = lambda m=mean, d=deviation: (m + d * rng.uniform(-1, 1, shape)).astype("f4")
        if levelled and name not in variables:
            layers = {level: draw() for level in LEVELS}
            variables[name] = (("time", "level", *dims[1:]), np.stack([*layers.values()], 1)[..., ::-1, :], units)
        elif not levelled:
            layers = {None: draw()}
            variables[name] = (dims, layers[None][..., ::-1, :], units)
        level = float(channel.removeprefix(name)) if levelled else None
        fields[channel] = variables[name][1][:, LEVELS.index(level)] if levelled else variables[name][1]
    truth = xr.DataArray(
        np.stack([*fields.values()]).astype(float),
        {"channel": list(fields), **coords},
        ("channel", *dims),
    ).sortby("latitude")
    coords |= (
        {"level": ("level", np.array(LEVELS), {"units": "hPa"})}
        if any(len(v[0]) == 4 for v in variables.values())
        else {}
    )
    dataset = xr.Dataset({n: (d, v, {"units": u}) for n, (d, v, u) in variables.items()}, coords)
    return Source(truth, [Part(dataset)], _configuration(channels, times, step))


def _configuration(channels: tuple, times: pd.DatetimeIndex, step: int) -> dict:
    half, three = len(times) // 2, 3 * len(times) // 4
    cuts = {"train": (0, half - 1), "validation": (half, three - 1), "test": (three, len(times) - 1)}
    splits = {n: {"start": times[a].isoformat(), "end": times[b].isoformat()} for n, (a, b) in cuts.items()}
    return {
        "run": "c",
        "domain": {"channels": list(channels), "step_hours": step, **splits},
        "download": {"source": "local", "dataset": "d", "files": ["*.*"], "minimum_free_gb": 0},
    }


FORMS = {  # how sums are given: whether a setting says over how many hours, and the expected result
    "hourly_in_settings": (True, "right"), "hourly_bounds": (False, "right"), "hourly_unstated": (False, "either"),
    "sparse_in_settings": (True, "refused"), "sparse_unstated": (False, "refused"), "sparse_bounds": (False, "refused"),
    "spans_in_settings": (True, "right"), "spans_bounds": (False, "right"), "spans_unstated": (False, "either"),
    "spans_named": (False, "right"), "halves_in_settings": (True, "right"), "halves_bounds": (False, "right"),
    "running_in_settings": (True, "right"), "running_unstated": (False, "either"),
}  # fmt: skip


def rain(rng: np.random.Generator, form: str = "", hours: int = 0, grid: str = "europe") -> Source:
    """Random hourly precipitation, summed as sources sum it; arguments that are left out are drawn at random.

    `hourly`: amounts of one hour, every hour. `sparse`: the same, kept at the frames only. `spans`: the requested sums.
    `halves`: sums over half that time. `running`: every hour the sum since 00 UTC, at 00 UTC that of the day before.
    """
    form, hours = form or list(FORMS)[rng.integers(len(FORMS))], hours or int(rng.choice([6, 12, 24]))
    (in_settings, expected), shape = FORMS[form], form.split("_")[0]
    own = {"hourly": 1, "sparse": 1, "halves": hours // 2, "running": "since_midnight"}.get(shape, hours)
    latitude, longitude = GRIDS[grid]
    times = pd.date_range("2023-01-01T01:00", "2023-01-10", freq="h")
    amounts = rng.uniform(0.001, 0.003, (len(times), len(latitude), len(longitude)))
    sums = pd.DataFrame(amounts.reshape(len(times), -1), times)
    over = lambda n: sums.rolling(n).sum()[times.hour % n == 0].dropna()
    spans = over(hours)
    shaped = lambda table: table.to_numpy().reshape(-1, *amounts.shape[1:])
    if shape == "running":
        kept = sums.groupby((times - pd.Timedelta("1h")).floor("D")).cumsum()
    else:
        kept = sums[times.hour % hours == 0] if shape == "sparse" else over(own)
    dims = ("time", "latitude", "longitude")
    coords = {"time": kept.index, "latitude": latitude[::-1], "longitude": longitude}
    name = f"total_precipitation_{hours}hr" if form == "spans_named" else "tp"
    dataset = xr.Dataset({name: (dims, shaped(kept)[:, ::-1].astype("f4"), {"units": "m"})}, coords)
    if form.endswith("bounds"):
        span = np.timedelta64(own, "h")
        bounds = np.stack([kept.index.values - span, kept.index.values], 1)
        dataset = dataset.assign(time_bnds=(("time", "bnds"), bounds))
        dataset["time"].attrs["bounds"] = "time_bnds"
        dataset[name].attrs["cell_methods"] = "time: sum"
    asked = spans.index[spans.index >= "2023-01-02"]
    truth = xr.DataArray(
        shaped(spans.loc[asked])[None],
        {"channel": [f"tp{hours}"], "time": asked, "latitude": latitude, "longitude": longitude},
        ("channel", *dims),
    )
    source = Source(truth, [Part(dataset)], _configuration((f"tp{hours}",), asked, hours), expected)
    source.atol[f"tp{hours}"] = 2e-8  # differences of running sums in single precision
    if in_settings:
        source.set("download", accumulated={f"tp{hours}": own})
    return source


def write(source: Source, folder: Path) -> None:
    """Write the files of a source, its configuration and its truth into a folder."""
    data = folder / "data"
    data.mkdir(parents=True)
    for letter, part in zip(string.ascii_lowercase, source.parts):
        if part.form.startswith("zarr"):
            encoding = {k: {n: v for n, v in e.items() if n != "zlib"} for k, e in part.encoding.items()}
            part.dataset.to_zarr(
                data / f"{letter}.zarr", zarr_format=int(part.form[4]), consolidated="+" in part.form, encoding=encoding
            )
        else:
            part.dataset.to_netcdf(data / f"{letter}.nc", format=part.form, encoding=part.encoding)
    for change in source.after:
        change(data)
    source.config["data"] = str(data)
    (folder / "config.yaml").write_text(yaml.safe_dump(source.config))


def truth_of(source: Source) -> Truth:
    """The right answer for a source."""
    return Truth(source.truth, source.atol)
