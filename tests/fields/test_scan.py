"""Suspect values in a series of fields: each kind is found wherever it is planted, and none in clean fields."""

import numpy as np
import pytest
import scipy.fft

from hindsight.dynamics.quasi_geostrophic_world import QuasiGeostrophicWorld
from hindsight.fields import scan
from hindsight.settings.download import Synthetic

SHAPE, FRAMES, PLACES = (16, 32), 160, 100
LATITUDE = -90 + (np.arange(16) + 0.5) * 180 / 16
TIMES = np.datetime64("2000-01-01", "ns") + np.arange(FRAMES) * np.timedelta64(6, "h")


def random_fields(generator):
    """Smooth in space, an autoregression in time, (T, 1, H, W)."""
    wave = np.add.outer(scipy.fft.fftfreq(16, 1 / 16) ** 2, scipy.fft.fftfreq(32, 1 / 32) ** 2)
    white = scipy.fft.fft2(generator.standard_normal((FRAMES, *SHAPE))) * np.exp(-wave / 18)
    noise = scipy.fft.ifft2(white).real
    field = noise / noise.std()
    for t in range(1, FRAMES):
        field[t] = 0.97 * field[t - 1] + np.sqrt(1 - 0.97**2) * field[t]
    return 280 + 5 * field[:, None].astype("float32")


@pytest.fixture(scope="module")
def series():
    """Fields to plant in: random ones, and wind of the built-in world."""
    world = QuasiGeostrophicWorld(Synthetic(truncation=10, latitudes=16, spin_up_days=40, step_minutes=180.0))
    begins = TIMES[:1]
    wind = world.frames(world.spin_up(begins), begins, 0, FRAMES)[1]["u_component_of_wind"][0, :, 1:2]
    return {"random": random_fields(np.random.default_rng(0)), "world": wind.astype("float32")}


def summarise(values, times=TIMES, size=37):
    """What is noted of the fields block by block."""
    blocks = [slice(first, first + size) for first in range(0, len(values), size)]
    return scan.concatenate([scan.summarise(values[block], times[block], LATITUDE, 360.0) for block in blocks])


def found(values, **more):
    return {one.kind: one for one in scan.detect(summarise(values, **more))}


def box(generator):
    """A region of a quarter of the grid."""
    row, column = generator.integers(0, 8), generator.integers(0, 16)
    return slice(row, row + 8), slice(column, column + 16)


def constant(part, before, generator):
    part[:] = before.mean()


def repeated(part, before, generator):
    part[:] = before


def polar(part, before, generator):
    row = generator.choice([0, -1])
    part[:, row] = part[:, row, generator.integers(32), None]


def lone_everywhere(part, before, generator):
    part += generator.choice([-3, 3]) * before.std()


def lone_in_a_region(part, before, generator):
    part[(slice(None), *box(generator))] += generator.choice([-8, 8]) * before.std()


def from_elsewhere(part, before, generator):
    part[:] = np.roll(part[:, ::-1], 16, -1)


def saturated(part, before, generator):
    np.clip(part, *np.quantile(before, (0.12, 0.88)), out=part)


def stuck_in_a_region(part, before, generator):
    part[(slice(None), *box(generator))] = before.mean()


def still_in_a_region(part, before, generator):
    where = box(generator)
    part[(slice(None), *where)] = before[where]


def coarse(part, before, generator):
    step = before.std() / generator.uniform(1, 10)
    np.round(part / step, out=part)
    part *= step


def wrapped(part, before, generator):
    top, span = np.quantile(before, 0.8), 1.2 * np.ptp(before)
    part[part > top] -= span


PLANTED = {  # kind, frames that a fault may last, what it does to them
    "constant": ("constant", 12, constant),
    "repeated": ("repeated", 12, repeated),
    "polar": ("polar", 12, polar),
    "outlier": ("outlier", 1, lone_everywhere),
    "lone in a region": ("outlier", 1, lone_in_a_region),
    "from elsewhere": ("outlier", 1, from_elsewhere),
    "saturated": ("packing", 12, saturated),
    "stuck": ("packing", 12, stuck_in_a_region),
    "still in a region": ("stuck", 12, still_in_a_region),
    "coarse": ("packing", 12, coarse),
    "wrapped": ("jump", 12, wrapped),
}


@pytest.mark.parametrize("name", ["random", "world"])
def test_clean_fields_give_no_finding(series, name):
    assert found(series[name]) == {}


@pytest.mark.parametrize("fault", PLANTED)
@pytest.mark.parametrize("name", ["random", "world"])
def test_planted_errors_are_found(series, name, fault):
    kind, longest, plant = PLANTED[fault]
    generator, missed = np.random.default_rng(PLACES), []
    for _ in range(PLACES):
        values, length = series[name].copy(), generator.integers(1, longest + 1)
        first = generator.integers(1, FRAMES - length)
        part = slice(first, first + length)
        plant(values[part, 0], values[first - 1, 0], generator)
        hit = found(values)
        if length == 1 and kind == "jump":
            kinds = {"outlier", "jump"}
        else:
            kinds = {kind}
        frames = np.concatenate([hit[k].frames for k in kinds & set(hit)] or [[]])
        expected = {first} if kind == "jump" else set(range(first, first + length))
        if not expected <= set(frames):
            missed.append((first, length, {k: v.frames.tolist() for k, v in hit.items()}))
    assert not missed
