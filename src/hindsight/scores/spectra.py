"""Power by wavenumber along circles of latitude or across a box."""

import numpy as np


def zonal(fields: np.ndarray, periodic: bool, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean power by zonal wavenumber.

    Args:
        fields: (…, H, W); the mean over leading dimensions and latitudes is returned.
        periodic: whether the longitudes go round; if not, a Hann window is laid over them first, its power restored.
        weights: of the latitudes (H,), any scale: the areas that they stand for; none: all alike.

    Returns:
        Power of wavenumbers 0 … W // 2; for a periodic field they sum to the mean square, weighed so (Parseval).
    """
    width = fields.shape[-1]
    if not periodic:
        window = np.hanning(width + 2)[1:-1]
        fields = (fields - fields.mean(-1, keepdims=True)) * window / np.sqrt((window**2).mean())
    power = np.abs(np.fft.rfft(fields, axis=-1)) ** 2 / width**2
    power[..., 1 : (width + 1) // 2] *= 2
    return np.average(power.reshape(-1, *power.shape[-2:]).mean(0), axis=0, weights=weights)
