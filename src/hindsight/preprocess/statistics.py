"""Statistics of the training split: how far each channel departs from its climatology."""

from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.scaling import Scaling
from hindsight.settings import Domain


def run(domain: Domain, *, fields: Path, climatology: Path, statistics: Path) -> None:
    """Measure the spread of each channel about its climatology, over the training period."""
    training = calendar.in_period(store.read(fields), domain.train, str(store.folder(fields)))
    harmonic = xr.load_dataset(climatology)
    scaling = Scaling(
        harmonic["coefficients"].values,
        np.ones(len(domain.channels)),
        int(harmonic.attrs["annual_harmonics"]),
        int(harmonic.attrs["daily_harmonics"]),
    )
    values = spread(training["fields"], scaling)
    if constant := [name for name, value in zip(domain.channels, values) if not value > 0]:
        raise UserError(f"{fields}: channel(s) {', '.join(constant)} never change in the training period; drop them")
    result = xr.Dataset({"spread": ("channel", values)}, coords={"channel": domain.channels})
    result["spread"].attrs["comment"] = "standard deviation of departures from the climatology, training period"
    store.replace(statistics, lambda partial: result.to_netcdf(partial))


def spread(fields: xr.DataArray, scaling: Scaling, block: int = 512) -> np.ndarray:
    """Root-mean-square departure from the climatology of each channel, over time and place; shape (C,)."""
    times, total = fields["time"].values, 0.0
    for start in range(0, len(times), block):
        part = slice(start, start + block)
        departure = fields[part].values.astype(float) - scaling.climatology(times[part])
        total = total + (departure**2).mean(axis=(2, 3)).sum(axis=0)
    return np.sqrt(total / len(times))
