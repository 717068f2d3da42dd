"""Settings of `observe`."""

import re
from typing import Literal

from pydantic import Field, model_validator

from hindsight.settings.domain import Share
from hindsight.settings.hours import Hours, minutes
from hindsight.settings.networks import Stations, Thinning, Withholding
from hindsight.settings.quality import Denial, Measurement, Quality
from hindsight.settings.reports import Reports
from hindsight.settings.section import Section

DAY = 24 * 60  # minutes
FOLD = "_fold"  # between a network's name and the number of a fold


class Network(Section):
    """One observing network: simulated, or of real reports."""

    kind: Literal["random", "regular", "footprint", "land", "stations", "reports"] = Field(
        "random",
        description="random grid points; regular: a regular thinning of the grid; footprint: blocks of grid points, "
        "each observed as one block mean; land: random, dense on habitable land and few at sea; stations: from a "
        "file; reports: what instruments measured (observe.reports)",
    )
    reports: list[str] = Field([], description="reports: which of observe.reports; empty: all")
    use: Stations = Field(Stations(), description="reports: stations that are used")
    withhold: Withholding = Field(
        Withholding(), description="reports: stations that are withheld besides the share `withheld`"
    )
    error_factor: float = Field(
        1.0,
        gt=0,
        description="reports: factor of the errors of all its reports; an error calibrated against fields contains the "
        "fields' own error",
    )
    thinning: Thinning = Field(
        Thinning(), description="reports: what is done about neighbours whose errors are correlated"
    )
    denied: list[Denial] = Field(
        [], description="reports: stations and periods that are not used (a blacklist), with the reason"
    )
    denied_file: str | None = Field(
        None,
        description="reports: a CSV file of further denials, as `observe.denials` writes it, below the data folder",
    )
    share: float = Field(
        0.1, gt=0, le=1, description="random: share of the grid points with a station that is not withheld"
    )
    every: int = Field(
        3,
        gt=0,
        description="regular: spacing of stations (grid points); footprint: side of a block (grid points)",
    )
    footprint: Literal["mean", "centre"] = Field(
        "mean", description="footprint: mean of the whole block, or of the points next to its centre"
    )
    count: int | None = Field(
        None,
        gt=0,
        description="land: number of stations that are not withheld (required); stations: number drawn from the file; "
        "none: all in the file",
    )
    file: str | None = Field(
        None,
        description="stations: file below the data folder: a CSV with columns station, latitude, longitude, the ISD "
        "history, or the IGRA station list",
    )
    noise: float | dict[str, float] | None = Field(
        0.05,
        description="observation error in standard deviations of each channel's departures; or by channel",
    )
    error: float | dict[str, float] | None = Field(
        None, description="observation error (standard deviation) in the channel's units; or by channel; replaces noise"
    )
    withheld: Share = Field(
        0.2, lt=1, description="share of the stations that is drawn and withheld from every analysis, for verification"
    )
    folds: int | None = Field(
        None,
        ge=2,
        description="cross-validation (rule cross_validation, on demand): in so many networks of its stations each is "
        "withheld once, whatever `withheld` and `withhold` say; by `withhold.block_degrees` where it is given",
    )
    fold: tuple[int, int] | None = Field(
        None, description="set by `folds`: which part of the stations is withheld, counted from 0, and of how many"
    )
    every_hours: Hours | None = Field(
        None, description="hours between reports, from 00 UTC, a divisor of 24; none: a report at every frame"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_error(cls, given: object) -> object:
        """Set noise to none where error is given, so that settings that were written out can be read again."""
        if not isinstance(given, dict) or given.get("error") is None:
            return given
        if given.get("noise") is not None:
            raise ValueError("noise and error both give the observation error; give one of them")
        return given | {"noise": None}

    @model_validator(mode="after")
    def _complete(self) -> "Network":
        if self.every_hours and DAY % minutes(self.every_hours):
            raise ValueError(f"every_hours ({self.every_hours:g}) must divide the 24 hours of a day")
        if self.kind == "stations" and self.file is None:
            raise ValueError("a network of kind 'stations' needs a file")
        if self.kind == "land" and self.count is None:
            raise ValueError("a network of kind 'land' needs a count of stations")
        if self.kind == "reports":
            if self.error is not None or self.noise != type(self).model_fields["noise"].default:
                raise ValueError(
                    "noise and error are of simulated networks, and this one is of kind 'reports', whose reports have "
                    "their own errors; set error_factor, or the error of a kind of values in observe.measurements"
                )
            return self
        if self.error_factor != 1:
            raise ValueError("error_factor is for networks of kind 'reports'; set noise or error of a simulated one")
        name, given = ("noise", self.noise) if self.error is None else ("error", self.error)
        values = given.values() if isinstance(given, dict) else [given]
        if None in values:
            raise ValueError("has no observation error; give noise or error")
        if any(value <= 0 for value in values):
            raise ValueError(f"{name} must be above zero: observations without error cannot be assimilated")
        return self


class RealReports(Section):
    """Real reports: their files, errors and quality control, which networks share."""

    reports: dict[str, Reports] = Field({}, description="files of reports by name, which networks of real reports use")
    measurements: list[Measurement] = Field(
        [],
        description="errors of reports and how they observe the state; the first that fits is used, else the defaults",
    )
    quality: Quality = Field(Quality(), description="quality control of reports")


class Observe(RealReports):
    """The networks that observe the test period."""

    networks: dict[str, Network] = Field(
        {"sparse10": Network(share=0.1), "sparse2": Network(share=0.02)},
        min_length=1,
        description="networks by name; each is analysed and scored separately",
    )
    seed: int = Field(
        1, ge=0, description="seed of random stations, of observation errors and of which stations are withheld"
    )

    @property
    def simulated(self) -> list[str]:
        """Names of the simulated networks."""
        return [name for name, network in self.networks.items() if network.kind != "reports"]

    @property
    def scored(self) -> list[str]:
        """Names of the networks that are analysed in any case: all but those of cross-validations."""
        return [name for name, network in self.networks.items() if network.fold is None]

    def without_folds(self) -> "Observe":
        """The same without cross-validations."""
        plain = {name: self.networks[name].model_copy(update={"folds": None}) for name in self.scored}
        return self.model_copy(update={"networks": plain})

    @model_validator(mode="after")
    def _with_folds(self) -> "Observe":
        """Add a network for each fold, if it is not there yet."""
        for name, network in [*self.networks.items()]:
            for number in range(network.folds or 0):
                changes = {"folds": None, "fold": (number, network.folds)}
                self.networks.setdefault(f"{name}{FOLD}{number}", network.model_copy(update=changes))
        return self

    @model_validator(mode="after")
    def _reports_known(self) -> "Observe":
        wrong = []
        for name, network in self.networks.items():
            if network.kind != "reports":
                continue
            if not self.reports:
                wrong.append(f"network {name!r} is of real reports, and observe.reports is empty")
            wrong += [f"network {name!r}: there are no reports {r!r}" for r in network.reports if r not in self.reports]
        if bad := [name for name in self.reports if not re.fullmatch(r"[a-z][a-z0-9_]*", name)]:
            wrong.append(f"names of reports are lower-case words of a-z, 0-9 and _ (got {', '.join(bad)})")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @model_validator(mode="after")
    def _plain_names(self) -> "Observe":
        if bad := [name for name in self.networks if not re.fullmatch(r"[a-z][a-z0-9_]*", name)]:
            raise ValueError(f"network names are lower-case words of a-z, 0-9 and _ (got {', '.join(bad)})")
        return self
