"""Fields as short texts for a page: rounded to multiples of a step, then differences, deflate (RFC 1950) and base64.

A page unpacks a block of T x N values like this. Its bytes are the low bytes of all numbers, then the high bytes.
Number n stands for the difference n // 2, or -(n + 1) // 2 if n is odd. The first row is summed along its values, then
every column downwards, modulo 65536; the sums plus `offset` are the values in steps, and a sum of 65535 is a missing
value.
"""

import base64
import math
import zlib

import numpy as np

MISSING = 65535
ROUND = (1, 2, 5, 10)  # steps are these times a power of ten


def round_step(largest: float) -> float:
    """The largest step of 1, 2 or 5 times a power of ten that is not above a positive number."""
    power = math.floor(math.log10(largest) + 1e-9)
    number = max(one for one in ROUND if one <= largest / 10.0**power * (1 + 1e-9))
    return float(f"{number}e{power}")


def pack(values: np.ndarray, step: float) -> dict[str, object]:
    """Pack a block of values.

    Args:
        values: (T, N), NaN where they are missing.
        step: to whose multiples they are rounded; doubled until their range is less than 65535 steps.

    Returns:
        `rows` (T), `step`, `offset` (of the least value, in steps) and `data`, a text.
    """
    least, most = _range(values)
    while most / step - least / step > MISSING - 2:
        step *= 2
    offset = round(least / step)
    numbers = np.where(np.isnan(values), MISSING, np.rint(np.nan_to_num(values) / step) - offset).astype("uint16")
    data = base64.b64encode(zlib.compress(_planes(_differences(numbers)), 9)).decode()
    return {"rows": len(values), "step": step, "offset": offset, "data": data}


def _range(values: np.ndarray) -> tuple[float, float]:
    found = values[~np.isnan(values)]
    return (float(found.min()), float(found.max())) if found.size else (0.0, 0.0)


def _differences(numbers: np.ndarray) -> np.ndarray:
    """Differences from the row before, in the first row from the value before, as unsigned numbers.

    Differences are modulo 65536; 0, -1, 1, -2, … become 0, 1, 2, 3, …, so that small differences are small numbers.
    """
    changes = numbers.copy()
    changes[1:] -= numbers[:-1]
    changes[:1, 1:] -= numbers[:1, :-1]
    signed = changes.view("int16")
    return ((signed << 1) ^ (signed >> 15)).view("uint16")


def _planes(numbers: np.ndarray) -> bytes:
    """All low bytes, then all high bytes, which are mostly zero."""
    return (numbers & 255).astype("uint8").tobytes() + (numbers >> 8).astype("uint8").tobytes()
