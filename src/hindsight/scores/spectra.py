"""Power by wavenumber along circles of latitude or across a box."""

import numpy as np


def zonal(fields: np.ndarray, periodic: bool, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean power by zonal wavenumber.

    Args:
        fields: (…, H, W); the result is the mean over leading dimensions and latitudes.
        periodic: whether the grid covers all longitudes; if not, a Hann window is applied, corrected for lost power.
        weights: of the latitudes (H,), proportional to area, any scale; None: equal.

    Returns:
        Power of wavenumbers 0 … W // 2; for a periodic field they sum to the weighted mean square (Parseval).
    """
    width = fields.shape[-1]
    if not periodic:
        window = np.hanning(width + 2)[1:-1]
        fields = (fields - fields.mean(-1, keepdims=True)) * window / np.sqrt((window**2).mean())
    power = np.abs(np.fft.rfft(fields, axis=-1)) ** 2 / width**2
    power[..., 1 : (width + 1) // 2] *= 2
    return np.average(power.reshape(-1, *power.shape[-2:]).mean(0), axis=0, weights=weights)
