"""Settings of the errors of reports and of their quality control."""

import csv
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from hindsight.errors import UserError
from hindsight.settings.dates import End, Time
from hindsight.settings.section import Section


class Measurement(Section):
    """How the values of one kind observe the state, and with which error."""

    kind: str | None = Field(None, description="name of the values (a column of a table); none: any")
    quantity: str | None = Field(None, description="what they measure, by its CF standard name; none: any")
    platform: str | None = Field(None, description="land, ship, sonde, aircraft, …; none: any")
    channel: str | None = Field(None, description="channel that they observe; none: that of the quantity and level")
    error: float = Field(gt=0, description="standard deviation of the instrument's error, in the channel's units")
    representativeness: float = Field(
        0.0, ge=0, description="standard deviation of what the grid does not resolve, in the channel's units"
    )
    error_per_hour: float = Field(
        0.0,
        ge=0,
        description="nearest_frame: error for each hour between report and frame, in the channel's units, whose square "
        "is added to the variance",
    )
    time: Literal["interpolate", "nearest_frame"] = Field(
        "interpolate", description="values between two frames: linear in time between them, or of the nearest frame"
    )
    weights: dict[int, float] = Field(
        {},
        description="means over time: the weight of each frame, relative to the nearest, {-1: 0.06, 0: 0.87, 1: 0.07}; "
        "empty: values at one time",
    )

    @model_validator(mode="after")
    def _weights_sum_to_one(self) -> "Measurement":
        if self.weights and abs(sum(self.weights.values()) - 1) > 1e-3:
            raise ValueError(f"the weights of the frames sum to {sum(self.weights.values()):g}, not to 1")
        return self

    def fits(self, kind: str, quantity: str, platform: str) -> bool:
        """Whether it describes values of a kind, quantity and platform."""
        pairs = ((self.kind, kind), (self.quantity, quantity), (self.platform, platform))
        return all(own is None or own == given for own, given in pairs)


class Denial(Section):
    """A station whose reports are not used in a period, with the reason."""

    station: str = Field(description="its name, or a pattern such as ES_*")
    channel: str | None = Field(None, description="observed channel; none: all")
    start: Time | None = Field(
        None, description="first time, of the frame that a report is assigned to; none: from the beginning"
    )
    end: End | None = Field(None, description="last time, likewise; none: to the end")
    reason: str = Field(min_length=3, description="why: drift, step, moved, …")

    def meets(self, first: datetime, last: datetime) -> bool:
        """Whether its period meets that from `first` to `last`, both included."""
        return (self.start is None or self.start <= last) and (self.end is None or self.end >= first)


def read_denials(path: Path) -> list[Denial]:
    """The denials of a CSV file with the columns station, channel, start, end, reason.

    Raises:
        UserError: if it cannot be read or a row is not a denial.
    """
    try:
        with path.open(newline="") as file:
            rows = [*csv.DictReader(line for line in file if not line.startswith("#"))]
        named = [{name: row[name] for name in Denial.model_fields if row.get(name)} for row in rows]
        return [Denial.model_validate(one) for one in named]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path} is not a list of denials with the columns station, channel, start, end, reason ({error})"
        ) from None


class Bias(Section):
    """Estimation of the slowly varying bias of stations."""

    days: float | None = Field(
        90.0, gt=0, description="length of the window in which it is estimated; none: no bias is estimated"
    )
    platforms: list[str] = Field(
        ["land", "ship"], description="platforms whose bias is estimated; the others are taken to have none"
    )
    memory_days: float = Field(
        4.0,
        gt=0,
        description="days for which departures of a station are correlated: n days hold "
        "n / memory_days independent ones",
    )
    size: float = Field(
        2.0,
        gt=0,
        description="expected size of biases, in observation errors; an uncertain estimate is shrunk towards zero",
    )


class Quality(Section):
    """Quality control of reports: checks, and how strict they are."""

    background: float = Field(
        8.0,
        gt=0,
        description="largest departure from the climatology (background check), in its standard deviation: the root of "
        "the sum of the variances of spread and error",
    )
    neighbours: float = Field(
        3.0,
        gt=0,
        description="largest departure from the estimate by all other reports (buddy check), in standard deviations",
    )
    frames: int = Field(
        3, gt=0, description="frames of the other reports, an odd number, centred on the report's own frame"
    )
    modes: int = Field(
        300,
        gt=0,
        description="leading empirical functions that the buddy check resolves; of other modes, as on a globe, all",
    )
    correlated_share: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="share of the error variance that neighbouring stations of a channel have in common",
    )
    correlated_km: float = Field(400.0, gt=0, description="distance at which that share has fallen to 1/e")
    height_m: float = Field(
        500.0,
        gt=0,
        description="largest height (m) of a station above or below the orography, for values near the ground",
    )
    calibrate: bool = Field(
        True,
        description="take each station's bias and error from its departures from the fields of the training period",
    )
    bias: Bias = Field(Bias(), description="bias of stations")
    interval_frames: int = Field(732, gt=0, description="frames that one job checks")
    drift_errors: float = Field(
        1.25, gt=0, description="change of a station's bias, in observation errors, at which it is proposed for denial"
    )
    dead_days: float = Field(10.0, gt=0, description="days of equal values after which a sensor is taken for dead")

    @field_validator("frames")
    @classmethod
    def _centred(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"frames must be odd, as many before a report's frame as after it, got {value}")
        return value
