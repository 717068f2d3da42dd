"""Statistics of departures from the climatology in the training period: variability, range and spectra."""

from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.preprocess.moments import Moments, gather
from hindsight.settings.domain import TrainingDomain

NEGLIGIBLE = 1e-6  # of a channel's largest value: the spread of a constant in single precision
VARIABLES = {  # of the file: dimensions, comment
    "spread": (
        ("channel",),
        "root-mean-square departure from the climatology, over time and place; in the units of the channel, or of its "
        "transform",
    ),
    "variance": (
        ("channel", "latitude", "longitude"),
        "mean square departure from the climatology; in these units, squared",
    ),
    "lowest": (("channel",), "least value; in the channel's units"),
    "highest": (("channel",), "largest value; in the channel's units"),
    "covariance_spectrum": (
        ("part", "channel", "other_channel", "wavenumber"),
        "E[F_c(m) conj F_c'(m)] of departures from the climatology, area-weighted mean over latitude, with F(m) the "
        "mean over longitude of a departure times exp(-i m longitude): F(0) is the zonal mean. Wavenumbers 0 … W / 2; "
        "the sum of the real parts over all, those between the first and W / 2 twice, is the covariance. In the units "
        "of channel times those of other_channel",
    ),
}


def run(training: TrainingDomain, *, moments: list[Path], statistics: Path) -> None:
    """Compute standard deviations and spectra of departures from the climatology over the training period."""
    found = gather(moments, training)
    values = {name: getattr(found, name) for name in ("spread", "variance", "lowest", "highest")}
    _check_varies(found, values["spread"])
    if (spectrum := found.spectrum) is not None:
        values["covariance_spectrum"] = np.stack([spectrum.real, spectrum.imag])
    result = xr.Dataset(
        {name: (VARIABLES[name][0], value, {"comment": VARIABLES[name][1]}) for name, value in values.items()},
        coords={"channel": list(found.layout.channels), **found.layout.grid.coordinates},
        attrs={"frames": found.frames, "comment": "of the available frames of the training period"}
        | found.layout.transforms.attributes,
    )
    if spectrum is not None:
        result = result.assign_coords(other_channel=list(found.layout.channels), part=["real", "imaginary"])
        result = result.assign_coords(wavenumber=np.arange(spectrum.shape[2]))
    store.replace(statistics, lambda partial: result.to_netcdf(partial))


def _check_varies(found: Moments, spread: np.ndarray) -> None:
    """Check that every channel varies.

    Raises:
        UserError: naming the channels that do not.
    """
    largest = np.maximum(np.abs(found.lowest), np.abs(found.highest))
    if constant := [name for name, s, most in zip(found.layout.channels, spread, largest) if not s > NEGLIGIBLE * most]:
        raise UserError(f"channel(s) {', '.join(constant)} are constant in the training period; drop them")
