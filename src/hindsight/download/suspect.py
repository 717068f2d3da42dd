"""Values that are there and look wrong, in all parts of a source together: what stops a run, and what is a note."""

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
class Looked:
    """A variable of a part, and what a scan has seen of it."""

    variable: xr.DataArray
    seen: Summary


def found(
    parts: list[dict[str, Looked]],
    channels: list[Channel],
    wanted: np.ndarray,
    joints: Iterable[np.datetime64],
) -> list[dict]:
    """What looks wrong in the variables that channels are made from.

    Args:
        parts: their variables by name, in order of time.
        channels: that the source has to have.
        wanted: times of the frames that are anybody's business.
        joints: times at which other weather begins.

    Returns:
        What `findings.describe` says, and the name of the `variable`.
    """
    names = {}
    for channel in channels:
        name = next((name for name in channel.names("local") if parts and name in parts[0]), None)
        names.setdefault(name, channel.standard_name)
    of = {name: [one[name] for one in parts if name in one] for name in names if name is not None}
    return [
        {"variable": name} | one for name in of for one in _of_variable(of[name], names[name], wanted, list(joints))
    ]


def _of_variable(parts: list[Looked], standard_name: str, wanted: np.ndarray, joints: list) -> list[dict]:
    whole = scan.concatenate([one.seen for one in parts])
    if (np.diff(whole.times) <= np.timedelta64(0)).any():  # the manifest says so
        return []
    seen = whole.select(np.isin(whole.times, wanted))
    _, levels, grid = part.arranged(parts[0].variable.isel(time=slice(0, 1)))

    def fields(time: np.datetime64) -> np.ndarray:
        variable = next(one.variable for one in parts if time in one.seen.times)
        return part.arranged(variable.sel(time=[time]))[0][0]

    return findings.describe(scan.detect(seen, joints), seen, fields, levels, grid, standard_name)


def times(one: dict, wanted: np.ndarray) -> list[datetime]:
    """The frames that a finding speaks of."""
    first, last = np.datetime64(one["first"]), np.datetime64(one["last"])
    return wanted[(wanted >= first) & (wanted <= last)].astype("datetime64[s]").tolist()


def masked(odd: list[dict], wanted: np.ndarray, settings: Download) -> set[datetime]:
    """Frames that look wrong and may be missing: they are left out."""
    return {time for one in odd if one["fatal"] for time in times(one, wanted) if settings.allowed(time)}


def stops(one: dict, wanted: np.ndarray, settings: Download) -> bool:
    """Whether a finding stops the run: nobody has said that its frames may be missing, or are right."""
    spoken_of = (settings.allowed(time) or settings.taken(time) for time in times(one, wanted))
    return one["fatal"] and not all(spoken_of)
