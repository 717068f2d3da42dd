"""Observations that lie between frames or are means over time: weights of the frames that they depend on.

The column `time_weights` of an observation table lists frames relative to the row's own, with their weights: a mean of
the day is `-1:0.06 0:0.87 1:0.07` for frames a day apart. It is empty for a value at the time of the frame.
"""

import re

import numpy as np
import pandas as pd

ITEM = re.compile(r"([+-]?\d+):([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)")


def text(weights: dict[int, float]) -> str:
    """Weights by frame as the table has them."""
    return " ".join(f"{frame}:{weight:.6g}" for frame, weight in sorted(weights.items()))


def parse(text: str) -> dict[int, float]:
    """Weights by frame, relative to the row's own.

    Raises:
        ValueError: if the text is not of the form `-1:0.1 0:0.9`.
    """
    if not text.strip():
        return {0: 1.0}
    items = [ITEM.fullmatch(item) for item in text.split()]
    if not all(items):
        raise ValueError(f"has the time weights {text!r}; expected frames and weights such as '-1:0.1 0:0.9'")
    return {int(item[1]): float(item[2]) for item in items if item}


def arrays(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Frames relative to each row's own and their weights, (N, L) each; a row that needs fewer has weights of 0.

    Raises:
        ValueError: if a row's weights are not valid.
    """
    texts = table["time_weights"].fillna("").to_numpy(str) if "time_weights" in table else np.full(len(table), "")
    unique, back = np.unique(texts, return_inverse=True)
    parsed = [parse(str(one)) for one in unique]
    most = max(map(len, parsed), default=1)
    frames, weights = np.zeros((len(parsed), most), int), np.zeros((len(parsed), most))
    for number, one in enumerate(parsed):
        frames[number, : len(one)], weights[number, : len(one)] = list(one), list(one.values())
    return frames[back.ravel()], weights[back.ravel()]


def to_frames(table: pd.DataFrame, times: np.ndarray) -> pd.DataFrame:
    """Assign rows between two frames to the earlier one, with weights that interpolate linearly in time.

    Rows that have weights already, which are relative to the nearest frame, are assigned to it.

    Args:
        table: observations; those at the time of a frame stay as they are.
        times: of the frames, evenly spaced (T,).

    Returns:
        The rows from the first frame to the last, at times of frames.
    """
    step = times[1] - times[0] if len(times) > 1 else np.timedelta64(1, "h")
    away = (table["time"].to_numpy("datetime64[ns]") - times[0]) / step
    inside = (away >= 0) & (away <= len(times) - 1)
    table, away = table[inside], away[inside]
    frame = np.floor(away).astype(int)
    share = away - frame
    if not (between := share > 0).any():
        return table
    given = table["time_weights"].to_numpy(object) if "time_weights" in table else np.full(len(table), "", object)
    weights = [text({0: 1 - s, 1: s}) if b and not g else g for s, b, g in zip(share, between, given)]
    frame = np.where(given != "", np.rint(away).astype(int), frame)
    return table.assign(time=times[frame], time_weights=weights)
