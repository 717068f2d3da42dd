"""Values that look wrong, over all parts of a source: which of them stop a run, and which are only noted."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import xarray as xr

from hindsight.download import part
from hindsight.fields import findings, scan
from hindsight.fields.scan import Summary
from hindsight.settings import Download
from hindsight.settings.lexicon import Channel


@dataclass(frozen=True)
class ScannedVariable:
    """A variable of a part, and its scan."""

    variable: xr.DataArray
    scan: Summary


def find(
    parts: list[dict[str, ScannedVariable]],
    channels: list[Channel],
    times: np.ndarray,
    segment_starts: Iterable[np.datetime64],
) -> list[dict]:
    """Find the values that look wrong in the variables that make channels.

    Args:
        parts: their variables by name, in order of time.
        channels: that the source must have.
        times: of the frames that the domain needs.
        segment_starts: times at which a new simulation begins.

    Returns:
        The findings of `findings.describe`, each with the name of its `variable`.
    """
    names = {}
    for channel in channels:
        name = next((name for name in channel.names("local") if parts and name in parts[0]), None)
        names.setdefault(name, channel.standard_name)
    by_name = {name: [one[name] for one in parts if name in one] for name in names if name is not None}
    return [
        {"variable": name} | one
        for name in by_name
        for one in _of_variable(by_name[name], names[name], times, list(segment_starts))
    ]


def _of_variable(
    parts: list[ScannedVariable], standard_name: str, times: np.ndarray, segment_starts: list
) -> list[dict]:
    joined = scan.concatenate([one.scan for one in parts])
    if (np.diff(joined.times) <= np.timedelta64(0)).any():  # the manifest reports it
        return []
    summary = joined.select(np.isin(joined.times, times))
    _, levels, grid = part.as_fields(parts[0].variable.isel(time=slice(0, 1)))

    def fields(time: np.datetime64) -> np.ndarray:
        variable = next(one.variable for one in parts if time in one.scan.times)
        return part.as_fields(variable.sel(time=[time]))[0][0]

    return findings.describe(scan.detect(summary, segment_starts), summary, fields, levels, grid, standard_name)


def frames_of(one: dict, times: np.ndarray) -> list[datetime]:
    """The times of the frames of a finding."""
    first, last = np.datetime64(one["first"]), np.datetime64(one["last"])
    return times[(times >= first) & (times <= last)].astype("datetime64[s]").tolist()


def masked_times(suspects: list[dict], times: np.ndarray, settings: Download) -> set[datetime]:
    """Frames with findings that would stop the run, and that may be missing: they are masked."""
    return {time for one in suspects if one["fatal"] for time in frames_of(one, times) if settings.may_be_missing(time)}


def stops_run(one: dict, times: np.ndarray, settings: Download) -> bool:
    """Whether a finding stops the run: the settings neither allow its frames to be missing nor accept them."""
    covered = (settings.may_be_missing(time) or settings.is_accepted(time) for time in frames_of(one, times))
    return one["fatal"] and not all(covered)
