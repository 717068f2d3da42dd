"""Random perturbations of observations, keyed by station, channel, time and position instead of the row in a table.

An observation that is added or removed therefore changes no other one's perturbation. The generator is Philox4x32-10
(Salmon et al. 2011, doi:10.1145/2063384.2063405), for many counters at once; its words become normal numbers by the
method of Box and Muller (1958, doi:10.1214/aoms/1177706645).
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

TEXT = ("station", "channel", "footprint", "time_weights")
POSITION = ("latitude", "longitude", "level")  # ships share a station's name
FINEST = 1e-4  # degrees and hPa to which positions are rounded
ROUNDS = 10
WORD = np.uint64(0xFFFFFFFF)
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


def keys(table: pd.DataFrame) -> np.ndarray:
    """Keys of the rows of an observation table, int64 (N,): a hash of station, channel, footprint, times and position.

    Equal rows get different keys, by their order.
    """
    found = _mixed(np.zeros(len(table), np.uint64), table["time"].to_numpy("datetime64[ns]").astype(np.int64))
    for name in (name for name in TEXT if name in table):
        codes, words = pd.factorize(table[name])
        digests = [hashlib.blake2b(str(word).encode(), digest_size=8).digest() for word in words]
        mixed = _mixed(found, np.frombuffer(b"".join(digests), "<u8")[codes])
        # without weights the key is that of a table without their column
        found = np.where((name != "time_weights") | (table[name] != ""), mixed, found)
    for name in (name for name in POSITION if name in table):
        value = np.round(np.nan_to_num(table[name].to_numpy(float), nan=-999.0) / FINEST).astype(np.int64)
        found = _mixed(found, value % round(360 / FINEST) if name == "longitude" else value)
    repeat = pd.Series(found).groupby(found).cumcount().to_numpy()
    return np.where(repeat > 0, _mixed(found, repeat), found).astype(np.int64)


def in_pairs(members: Sequence[int], antithetic: bool) -> tuple[list[int], np.ndarray]:
    """The member whose random numbers each member takes, itself or the even one of its pair; their signs, (E,)."""
    if not antithetic:
        return list(members), np.ones(len(members))
    return [member - member % 2 for member in members], 1.0 - 2.0 * (np.asarray(members) % 2)


def normal(
    seed: int,
    purpose: int,
    members: Sequence[int],
    step: np.ndarray | int,
    key: np.ndarray,
    antithetic: bool = False,
) -> np.ndarray:
    """Standard normal numbers, each a function of the seed, the purpose, the member, the step and the key only.

    Args:
        seed: of the product.
        purpose: a constant of the calling method, so that no two methods share numbers.
        members: member numbers, E of them.
        step: number of the sampling step or frame; broadcasts with the keys.
        key: from `keys`, (…).
        antithetic: whether an odd member has the numbers of the one before it with the opposite sign.

    Returns:
        (E, …), float64.
    """
    members, signs = in_pairs(members, antithetic)
    quads = sorted({member // 4 for member in members})  # the generator gives four words, so four numbers
    drawn = {quad: _four(seed, purpose, quad, step, key) for quad in quads}
    return np.stack([sign * drawn[member // 4][member % 4] for member, sign in zip(members, signs)])


def _four(seed: int, purpose: int, quad: int, step: np.ndarray | int, key: np.ndarray) -> list[np.ndarray]:
    """Four numbers for every key."""
    stream = np.random.Philox(key=seed, counter=[0, 0, quad, purpose]).random_raw()
    a, b, c, d = philox(_halves(key) + _halves(np.broadcast_to(step, np.shape(key))), _halves(np.uint64(stream)))
    found = []
    for first, second in ((a, b), (c, d)):
        size = np.sqrt(-2 * np.log((first + 0.5) / 2.0**32))
        angle = 2 * np.pi * (second + 0.5) / 2.0**32
        found += [size * np.cos(angle), size * np.sin(angle)]
    return found


def philox(counter: tuple[np.ndarray, ...], key: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Philox4x32-10: four random words from a counter of four words and a key of two; 32-bit words, in uint64."""
    (a, b, c, d), (first, second) = counter, key
    for _ in range(ROUNDS):
        (a, left), (c, right) = _halves(a * MULTIPLIERS[0]), _halves(c * MULTIPLIERS[1])
        a, b, c, d = right ^ b ^ first, c, left ^ d ^ second, a
        first, second = (first + WEYL[0]) & WORD, (second + WEYL[1]) & WORD
    return a, b, c, d


def _halves(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper 32 bits."""
    whole = np.asarray(value).astype(np.uint64)
    return whole & WORD, whole >> np.uint64(32)


def _mixed(state: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Combine a 64-bit hash with a number (SplitMix64; Steele et al. 2014, doi:10.1145/2714064.2660195)."""
    with np.errstate(over="ignore"):
        mixed = (state ^ value.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
