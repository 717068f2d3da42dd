"""The benchmark of sizes: its weather has the spectrum, memory and winds that it says; costs give their exponent."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight.harmonics import gaussian
from tests.workflow import runs


@pytest.fixture(scope="module")
def scale():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import scale

    yield scale
    sys.path.remove(str(runs.ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def weather(scale):
    """A world on Gaussian latitudes and 400 frames of it."""
    latitude, weights = gaussian(24)
    world = scale.Weather(latitude, 48, 2)
    return world, np.stack([world.step(number) for number in range(400)]), weights


def coefficients(world, fields, weights):
    """Spherical harmonics of fields, (…, m, l)."""
    waves = world.harmonics.waves(torch.as_tensor(fields, dtype=torch.float64))
    return world.harmonics.project(waves, world.harmonics.table, torch.as_tensor(weights)).numpy()


def test_variance_falls_with_the_degree_and_so_does_memory(weather):
    world, frames, weights = weather
    found = coefficients(world, frames[:, 0, 0], weights)
    twice = np.where(np.arange(found.shape[1]) > 0, 2, 1)[:, None]
    power = (np.abs(found) ** 2 * twice).mean(0).sum(0)
    degree = np.array([4, 8, 16])
    assert power[degree] / power[8] == pytest.approx((1 + (degree / 8) ** 2) ** -1.5 / 2**-1.5, rel=0.2)
    lagged = (found[1:] * found[:-1].conj()).real.mean(0).sum(0) / (np.abs(found) ** 2).mean(0).sum(0)
    assert lagged[degree] == pytest.approx(np.exp(-0.25 / (5 * degree**-0.5)), abs=0.03)


def test_levels_are_correlated_and_variables_are_not(weather):
    _, frames, _ = weather
    z, other, t = (frames[:, *k].reshape(-1) for k in ((0, 0), (0, 1), (1, 0)))
    assert np.corrcoef(z, other)[0, 1] == pytest.approx(np.exp(-1 / 3), abs=0.05)
    assert abs(np.corrcoef(z, t)[0, 1]) < 0.05


def test_winds_turn_and_do_not_diverge(scale):
    latitude = np.linspace(90, -90, 121)
    u, v = scale.Weather(latitude, 240, 1).step(0)[2:, 0].astype(float)
    step, cosine = np.deg2rad(1.5), np.cos(np.deg2rad(latitude))[:, None]
    along = lambda field: (np.roll(field, -1, 1) - np.roll(field, 1, 1))[10:-10] / (2 * step)
    across = lambda field: -np.gradient(field * cosine, step, axis=0)[10:-10]
    divergence, vorticity = along(u) + across(v), along(v) - across(u)
    assert divergence.std() < 0.15 * vorticity.std()  # differences of waves of a few points are not exact
    assert u[0].std() == pytest.approx(v[0].std(), rel=1e-3)  # one wind at the pole, seen from all longitudes


def test_what_jobs_took_is_summed_by_step_and_gives_the_exponent(scale, tmp_path):
    for name, cpu, peak in (("shard-random-a-0", 3.0, 500), ("shard-random-b-0", 5.0, 700), ("score", "-", "-")):
        pd.DataFrame([{"s": 6.0, "cpu_time": cpu, "max_rss": peak}]).to_csv(
            tmp_path / f"{name}.tsv", sep="\t", index=False
        )
    found = scale.taken(tmp_path)
    assert found["shard"] == {"seconds": 12.0, "cpu_seconds": 8.0, "peak_mb": 700}
    sizes = [
        {"values": n, "steps": {"fit": {"cpu_seconds": 2e-3 * n**1.5}, "idle": {"cpu_seconds": 0}}}
        for n in (10, 90, 800)
    ]
    assert scale.exponents(sizes, "values") == {"fit": 1.5}


@pytest.mark.slow
def test_a_quick_run_ends_with_every_step(tmp_path):
    command = [sys.executable, runs.ROOT / "benchmarks/scale.py", "--quick", "--json", tmp_path / "found.json"]
    subprocess.run(command, check=True, env=runs.environment())
    found = json.loads((tmp_path / "found.json").read_text())
    assert [one["values"] for one in found["sizes"].values()] == [12 * 24 * 4, 16 * 32 * 4]
    for one in found["sizes"].values():
        assert {"linear_prior", "prior", "screen", "shard", "compare", "write", "check"} <= set(one["steps"])
    assert "shard" in found["exponents"] and "shard" in found["exponents_in_rows"]
