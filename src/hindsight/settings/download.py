"""Settings of `download`."""

import math
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from hindsight.settings.credentials import Credential
from hindsight.settings.dates import End, Time
from hindsight.settings.domain import Channels, Period, as_periods
from hindsight.settings.hours import Hours, in_words, minutes
from hindsight.settings.radar import Radar
from hindsight.settings.section import Section

DAY = 24 * 60  # minutes
RESOLVED = 2.0  # least value of the largest wavenumber of a Kuramoto-Sivashinsky line; waves above 1 are damped


def _even(points: int) -> int:
    if points % 2:
        raise ValueError(f"{points} points have no middle; choose an even number")
    return points


EvenPoints = Annotated[int, AfterValidator(_even)]  # per side of a square


class Lorenz96(Section):
    """The model of Lorenz (1996), a ring of variables on the equator: a small chaotic system to test methods on."""

    variables: int = Field(40, ge=4, description="variables on the ring")
    forcing: float = Field(8.0, description="forcing F; chaotic above about 6")
    unit_hours: float = Field(120.0, gt=0, description="hours in a time unit of the model; 120: 6 h are 0.05 units")
    substeps: int = Field(1, gt=0, description="time steps per frame, fourth-order Runge-Kutta")


class KuramotoSivashinsky(Section):
    """The Kuramoto-Sivashinsky equation on a periodic line: waves that grow, steepen and damp each other in chaos."""

    points: EvenPoints = Field(256, ge=16, description="points of the output; an even number")
    fine: int = Field(
        1, gt=0, description="points of the integration, as a multiple of points; largest wavenumber: a third of them"
    )
    length: float = Field(
        64.0, gt=0, description="length L of the line; 22 and more are chaotic; the shortest growing waves measure 2 pi"
    )
    unit_hours: float = Field(
        6.0, gt=0, description="hours in a time unit of the model; 6: frames of 6 h are one unit apart"
    )
    substeps: int = Field(4, gt=0, description="time steps per frame, fourth-order exponential Runge-Kutta")

    @model_validator(mode="after")
    def _resolves_the_damped_waves(self) -> "KuramotoSivashinsky":
        largest = 2 * math.pi * (self.points * self.fine) / 3 / self.length
        if largest < RESOLVED:
            raise ValueError(
                f"points ({self.points}) times fine ({self.fine}) resolve wavenumbers up to {largest:.2f} on a line of "
                f"length {self.length:g}; {RESOLVED:g} is needed, where waves are damped: raise fine or points"
            )
        return self


class NavierStokes(Section):
    """Stochastically forced turbulence on a doubly periodic square of side 2 pi, as published by Chen et al. (2024)."""

    points: EvenPoints = Field(64, ge=26, description="points per side of the output; an even number")
    fine: int = Field(
        1,
        gt=0,
        description="points per side of the integration, as a multiple of points; largest wavenumber: a third of them",
    )
    viscosity: float = Field(1e-3, ge=0, description="viscosity nu")
    drag: float = Field(0.1, gt=0, description="linear drag alpha, per time unit, equal at all scales")
    stirring: float = Field(1.0, ge=0, description="amplitude epsilon of the eight Wiener processes")
    unit_hours: float = Field(
        6.0, gt=0, description="hours in a time unit of the model; 6: frames of 6 h are one unit apart"
    )
    substeps: int = Field(40, gt=0, description="time steps per frame, fourth-order Runge-Kutta")


class Rain(Section):
    """Showers that move over a doubly periodic square, grow and decay: a rain rate of known motion and statistics."""

    points: EvenPoints = Field(64, ge=16, description="points per side; an even number")
    spacing_km: float = Field(2.0, gt=0, description="distance between points (km)")
    outer_km: float = Field(64.0, gt=0, description="wavelength (km) above which the spectrum of showers is flat")
    slope: float = Field(
        3.0,
        gt=2,
        description="at shorter wavelengths the variance of each two-dimensional wave falls as wavenumber^(-slope)",
    )
    lifetime_minutes: float = Field(
        60.0, gt=0, description="time in which waves of outer_km lose 63 % of their correlation"
    )
    lifetime_power: float = Field(
        1.0,
        ge=0,
        description="lifetimes of waves shorter than outer_km rise with this power of the wavelength; 0: equal ones",
    )
    eastward: float = Field(10.0, description="speed of the showers to the east, m/s")
    northward: float = Field(5.0, description="speed of the showers to the north, m/s")
    wet: float = Field(0.3, gt=0, lt=1, description="share of points and times with rain")
    median: float = Field(1.0, gt=0, description="median of the rain rate where it rains, mm/h")
    tail: float = Field(
        1.0,
        gt=0,
        description="slope of the logarithm of the rate against the underlying Gaussian field; larger: heavier rain",
    )

    @model_validator(mode="after")
    def _fits(self) -> "Rain":
        side = self.points * self.spacing_km
        if self.outer_km > side:
            raise ValueError(f"outer_km ({self.outer_km:g}) is longer than the square ({side:g} km); enlarge points")
        return self


class Synthetic(Section):
    """The built-in worlds: flow on a planet, the Lorenz 96 ring, waves on a line, turbulence, showers on a square."""

    world: Literal["quasi_geostrophic", "lorenz96", "navier_stokes", "kuramoto_sivashinsky", "rain"] = Field(
        "quasi_geostrophic",
        description="model; truncation, latitudes, levels and step_minutes belong to quasi_geostrophic; the others "
        "have their own settings below",
    )
    start: Time = Field(datetime(2000, 1, 1), description="first frame (UTC)")
    end: End = Field(datetime(2005, 3, 31, 18), description="last frame (UTC), or last day, month or year")
    step_hours: Hours = Field(6, description="hours between frames; 1/12 or 5 min for 5 minutes")
    truncation: int = Field(21, ge=5, le=127, description="triangular truncation of the model's spherical harmonics")
    latitudes: int = Field(32, ge=8, description="latitudes of the output; cells of equal width, no point on a pole")
    levels: list[Literal[200, 500, 850]] = Field([200, 500, 850], min_length=1, description="output levels (hPa)")
    seed: int = Field(1, ge=0, description="seed of the initial state and of all noise")
    spin_up_days: int = Field(150, ge=0, description="days integrated before the first frame")
    step_minutes: float = Field(90.0, gt=0, description="time step; T21 allows 120 minutes, finer truncations less")
    segments: int = Field(
        1, gt=0, description="segments of the period integrated in parallel, each with its spin-up; 1: one run"
    )
    device: str = Field("cpu", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: cuda if available")
    threads: int = Field(1, gt=0, description="CPU threads; fixed, so that results are reproducible")
    lorenz96: Lorenz96 = Field(Lorenz96(), description="world lorenz96")
    navier_stokes: NavierStokes = Field(NavierStokes(), description="world navier_stokes")
    kuramoto_sivashinsky: KuramotoSivashinsky = Field(KuramotoSivashinsky(), description="world kuramoto_sivashinsky")
    rain: Rain = Field(Rain(), description="world rain")

    @model_validator(mode="after")
    def _consistent(self) -> "Synthetic":
        if self.end <= self.start:
            raise ValueError(f"ends ({self.end:%Y-%m-%d}) before it starts ({self.start:%Y-%m-%d})")
        return self

    @model_validator(mode="after")
    def _steps_fill_a_day(self) -> "Synthetic":
        substeps, step = self.navier_stokes.substeps, minutes(self.step_hours)
        if self.world == "navier_stokes" and DAY * substeps % step:
            raise ValueError(
                f"navier_stokes.substeps: {substeps} steps in {in_words(self.step_hours)} do not fill a day of the "
                f"spin-up; take a multiple of {step // math.gcd(DAY, step)}"
            )
        return self

    @model_validator(mode="after")
    def _resolution_is_consistent(self) -> "Synthetic":
        if self.world != "quasi_geostrophic":
            return self
        if len(set(self.levels)) < len(self.levels):
            raise ValueError(f"levels names one more than once ({', '.join(map(str, self.levels))})")
        if minutes(self.step_hours) % self.step_minutes:
            step = in_words(self.step_hours)
            raise ValueError(f"step_minutes ({self.step_minutes:g}) does not divide step_hours ({step})")
        if 2 * self.latitudes < 2 * self.truncation + 1:
            raise ValueError(
                f"{self.latitudes} latitudes cannot show truncation {self.truncation}; {self.truncation + 1} would"
            )
        return self

    @property
    def step(self) -> timedelta:
        """Time between frames."""
        return timedelta(minutes=minutes(self.step_hours))

    @property
    def last(self) -> datetime:
        """Time of the last frame, which may be before the end."""
        return self.start + (self.end - self.start) // self.step * self.step


class WorldWithoutPeriod(Section):
    """The built-in world without its period: settings that stay the same when years are added."""

    synthetic: Synthetic = Field(Synthetic(), description="its equations, grid and time step")

    @field_validator("synthetic")
    @classmethod
    def _without_period(cls, value: Synthetic) -> Synthetic:
        return value.model_copy(update={name: Synthetic.model_fields[name].default for name in ("start", "end")})


class Bucket(Section):
    """A Zarr store in a public bucket (WeatherBench 2, ARCO-ERA5) or anywhere else that fsspec can read."""

    url: str = Field(
        "", description="gs://BUCKET/STORE.zarr, https://HOST/STORE.zarr, or a folder below the data folder"
    )
    options: dict[str, Credential] = Field(
        {},
        repr=False,
        description="options for fsspec (token, endpoint_url, …); empty: anonymous access to gs://. Credentials among "
        "them are never printed",
    )
    connections: int = Field(16, gt=0, le=256, description="chunks fetched at the same time")
    retries: int = Field(8, ge=0, description="further attempts for a chunk that fails while others arrive")
    patience_seconds: float = Field(
        600.0,
        ge=0,
        description="time (s) without anything arriving for which requests are repeated, with growing pauses",
    )
    timeout_seconds: float = Field(120.0, gt=0, description="time (s) after which a chunk is requested again")


class Grib(Section):
    """GRIB files, one or thousands, of edition 1 or 2."""

    files: list[str] = Field([], description="files, or patterns of them, below the data folder")
    processes: int = Field(2, gt=0, description="files read at the same time")
    member: int | None = Field(
        None, ge=0, description="ensemble member; none: the deterministic forecast, or else the control"
    )


class Download(Section):
    """The source."""

    source: Literal["local", "synthetic", "bucket", "grib", "radar"] = Field(
        "local", description="kind of source, a package or module of hindsight.download"
    )
    dataset: str = Field(
        "dataset", pattern=r"^[a-z0-9_]+$", description="name of the folder under resources/, shared by runs"
    )
    files: list[str] = Field(
        ["*.nc"],
        description="local: netCDF files or Zarr stores, or patterns of them (** is any number of folders), below the "
        "data folder; or URLs of netCDF files (https://…, gs://…), which are fetched first",
    )
    bucket: Bucket = Field(Bucket(), description="bucket: the store")
    grib: Grib = Field(Grib(), description="grib: the files")
    radar: Radar = Field(Radar(), description="radar: composites of weather radars, and how rain is made of them")
    synthetic: Synthetic = Field(Synthetic(), description="synthetic: the built-in world")
    rename: dict[str, str] = Field(
        {},
        description="local, bucket: new name for each name in the source. A variable becomes a channel (z: z500) or a "
        "variable of the lexicon; an axis becomes latitude, longitude, time or level",
    )
    select: dict[str, str | int | float] = Field(
        {},
        description="local: value to select in each other dimension (number: 0); in hours for forecast steps",
    )
    accumulated: dict[str, float | Literal["since_midnight"]] = Field(
        {},
        description="local, bucket: hours over which each value of a variable is summed (tp: 1), if the source does "
        "not state them; since_midnight for sums that restart at 00 UTC (ERA5-Land)",
    )
    memory_mb: float = Field(500.0, ge=10, description="local: memory (MB) for the values that a job reads at once")
    channels: Channels = Field([], description="not synthetic: channels to fetch; empty: the domain's")
    periods: list[Period] = Field([], description="not synthetic: periods to fetch; empty: those of the domain")
    step_hours: Hours | None = Field(None, description="not synthetic: hours between frames; none: the domain's")
    south: float | None = Field(None, ge=-90, le=90, description="not synthetic: southern edge; none: the domain's")
    north: float | None = Field(None, ge=-90, le=90, description="not synthetic: northern edge; none: the domain's")
    west: float | None = Field(None, ge=-180, le=360, description="not synthetic: western edge; none: the domain's")
    east: float | None = Field(None, ge=-180, le=360, description="not synthetic: eastern edge; none: the domain's")
    levels: Literal["exact", "interpolate"] | None = Field(
        None,
        description="local, bucket: a level that the source lacks is refused (exact) or interpolated between its "
        "neighbours; none: preprocess.levels",
    )
    part_frames: int = Field(1460, gt=0, description="not synthetic: frames fetched by one job")
    epoch: Time | None = Field(
        None,
        description="not synthetic: time from which parts are counted. With the store's first time, and part_frames a "
        "multiple of its chunks, no chunk is in two parts; none: the start of the first period",
    )
    missing: list[Period] = Field(
        [],
        description="times, days or periods {start, end} at which the source may lack data; they are masked",
    )
    missing_points: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="largest share of the frames in which a point may lack values, as beyond the range of radars; "
        "points that lack more are masked in all frames, and are neither observed nor scored nor published; none: "
        "points without values stop the run",
    )
    accepted: list[Period] = Field(
        [],
        description="times, days or periods {start, end} at which values are right although the manifest suspects "
        "them (constant fields, outliers, broken packing)",
    )
    missing_chunks: Literal["missing", "fill"] = Field(
        "missing",
        description="what a missing chunk of a Zarr store stands for, in variables with a time axis: missing data, or "
        "(fill) the fill value, if the store leaves out chunks that hold nothing else",
    )
    preliminary: bool = Field(False, description="allow preliminary data (ERA5T); the manifest lists them in any case")
    title: str = Field("", description="title of the source, for the archive's attributes")
    licence: str = Field("", description="its licence and attribution, for the archive's attributes")
    minimum_free_gb: float = Field(1.0, ge=0, description="free disk space (GB) below which a download does not start")

    @field_validator("accumulated")
    @classmethod
    def _positive_hours(cls, value: dict) -> dict:
        if wrong := [f"{name}: {hours:g}" for name, hours in value.items() if hours != "since_midnight" and hours <= 0]:
            raise ValueError(f"a sum covers a positive number of hours, not {', '.join(wrong)}")
        return value

    @field_validator("missing", "accepted", mode="before")
    @classmethod
    def _as_periods(cls, value: object) -> object:
        return as_periods(value)

    @model_validator(mode="after")
    def _the_source_is_named(self) -> "Download":
        if self.source == "local" and not self.files:
            raise ValueError("a local source needs files")
        if self.source == "bucket" and not self.bucket.url:
            raise ValueError("source: bucket needs bucket.url, gs://weatherbench2/datasets/era5/….zarr, say")
        if self.source == "grib" and not self.grib.files:
            raise ValueError("source: grib needs grib.files")
        if self.source == "radar" and not self.radar.files:
            raise ValueError("source: radar needs radar.files, radar_knmi_20100826/*.h5, say")
        return self

    @property
    def box(self) -> tuple[float | None, float | None, float | None, float | None]:
        """South, north, west, east; 360 is added to an east that is less than west."""
        crosses = self.west is not None and self.east is not None and self.west > self.east
        return self.south, self.north, self.west, self.east + 360 if crosses else self.east

    def may_be_missing(self, time: datetime) -> bool:
        """Whether the source may lack data at a time."""
        return any(period.start <= time <= period.end for period in self.missing)

    def is_accepted(self, time: datetime) -> bool:
        """Whether suspect values are accepted as right at a time."""
        return any(period.start <= time <= period.end for period in self.accepted)

    def masked_points_with(self, spacing: float | None, periodic: bool, reports: list[str]) -> list[str]:
        """What is wrong with masked points beside regridding, in a periodic domain, or with networks of reports."""
        if self.missing_points is None:
            return []
        reasons = {
            "preprocess.spacing: regridding would spread masked points": spacing is not None,
            "a periodic domain, which cannot have masked points": periodic,
            f"networks of reports ({', '.join(reports)}), which are not supported beside masked points": bool(reports),
        }
        return [f"download.missing_points must be null with {why}" for why, applies in reasons.items() if applies]
