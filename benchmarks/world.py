"""The weather of the built-in world: climate, spectrum, error growth and trend.

    python benchmarks/world.py --years 30 --image docs/images/world.png --json results/world.json

Writes `{"seconds_per_year", "doubling_days", "trend_per_decade", "jet_m_s", "storm_m"}`; one CPU thread, float64.
"""

import argparse
import json
import time
from pathlib import Path

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from hindsight.dynamics import planet
from hindsight.dynamics.quasi_geostrophic import LEVELS
from hindsight.dynamics.quasi_geostrophic_world import QuasiGeostrophicWorld
from hindsight.settings.download import Synthetic

GRAVITY = 9.80665
BEGIN = np.array(["2000-01-01"], "datetime64[ns]")
DAY = 86400.0


def years(world: QuasiGeostrophicWorld, count: int) -> dict[str, np.ndarray]:
    """Daily fields of a long run: day of year (T,), wind (T, level, H), z500 (T, H, W) in m, energy (T,), spectra."""
    states = world.spin_up(BEGIN)
    found: dict[str, list] = {name: [] for name in ("wind", "z500", "energy", "spectrum")}
    for day in range(round(count * 365.2425)):
        weather = world.weather(states)
        found["wind"].append(weather["u_component_of_wind"][0].mean(-1))
        found["z500"].append(weather["geopotential"][0, LEVELS.index(500)] / GRAVITY)
        found["energy"].append(world.model.energy(states).item())
        found["spectrum"].append(kinetic(world, states))
        states = world.advance(states, world.seconds(BEGIN) + day * DAY, DAY)
    return {name: np.array(values) for name, values in found.items()}


def kinetic(world: QuasiGeostrophicWorld, states: torch.Tensor) -> np.ndarray:
    """Kinetic energy at 500 hPa by total wavenumber, m2 s-2; (T + 1,)."""
    psi = world.model.streamfunction(states)[0, LEVELS.index(500)]
    twice = torch.where(world.output_harmonics.order > 0, 2.0, 1.0)[:, None]
    power = (psi.abs() ** 2 * twice).sum(0) / (4 * torch.pi)
    return (power * world.output_harmonics.eigenvalues() / 6.371e6**2 / 2).numpy()


def growth(world: QuasiGeostrophicWorld, starts: int = 6, twins: int = 3, days: int = 30) -> np.ndarray:
    """Root-mean-square difference of z500 (m) between twins that start close together; (days,)."""
    states, weight = world.spin_up(BEGIN), np.cos(np.deg2rad(world.latitude))[:, None]
    weight = weight / weight.mean()
    found = np.zeros(days)
    for start in range(starts):
        first = world.seconds(BEGIN) + start * 60 * DAY
        family = torch.cat([states, *(states + 3e-3 * world.disturbance(1 + start * twins + k) for k in range(twins))])
        for day in range(days):
            height = world.weather(family)["geopotential"][:, LEVELS.index(500)] / GRAVITY
            found[day] += (weight * (height[1:] - height[0]) ** 2).mean() / starts
            family = world.advance(family, first + day * DAY, DAY)
        for day in range(60):
            states = world.advance(states, first + day * DAY, DAY)
    return np.sqrt(found)


def doubling(errors: np.ndarray) -> float:
    """Days in which errors double, while they grow from 1 to 30 m."""
    inside = np.flatnonzero((errors > 1) & (errors < 30))
    return float(1 / np.polyfit(inside, np.log2(errors[inside]), 1)[0])


def draw(world: QuasiGeostrophicWorld, found: dict[str, np.ndarray], errors: np.ndarray, image: Path) -> None:
    """Six panels for the docs."""
    plt.rcParams.update({"font.size": 9, "axes.titlesize": 9})
    figure, axes = plt.subplots(2, 3, figsize=(12, 6), layout="constrained")
    phase = np.arange(len(found["energy"])) % 365.2425 / 365.2425
    seasons = {
        "DJF": (phase < 0.16) | (phase > 0.915),
        "JJA": (phase > 0.415) & (phase < 0.665),
    }
    for chosen, style in zip(seasons.values(), ("-", "--"), strict=True):
        for level, tone in zip(range(3), ("#0072B2", "#009E73", "#D55E00")):
            wind = found["wind"][chosen, level].mean(0)
            label = f"{LEVELS[level]} hPa" if style == "-" else None
            axes[0, 0].plot(world.latitude, wind, style, color=tone, label=label)
    axes[0, 0].set(title="zonal wind (m s⁻¹), DJF solid, JJA dashed", xlabel="latitude (°N)")
    axes[0, 0].legend(frameon=False)
    land = planet.land(*np.meshgrid(world.latitude, world.longitude, indexing="ij"))
    turn = len(world.longitude) // 2
    east = (world.longitude + 180) % 360 - 180
    for axis, (season, chosen) in zip(axes[0, 1:], seasons.items(), strict=True):
        spread = np.roll(found["z500"][chosen].std(0), turn, 1)
        mesh = axis.contourf(np.roll(east, turn), world.latitude, spread, 10, cmap="viridis")
        axis.contour(np.roll(east, turn), world.latitude, np.roll(land, turn, 1), [0.5], colors="black", linewidths=0.7)
        axis.set(title=f"standard deviation of z500 (m), {season}", xlabel="longitude (°E)", ylabel="latitude (°N)")
        figure.colorbar(mesh, ax=axis)
    spectrum = found["spectrum"].mean(0)
    number = np.arange(1, len(spectrum))
    axes[1, 0].loglog(number, spectrum[1:], color="#0072B2")
    axes[1, 0].loglog(number[7:], spectrum[8] * (number[7:] / 8.0) ** -3, ":", color="black", label="l⁻³")
    axes[1, 0].set(title="kinetic energy at 500 hPa (m² s⁻²)", xlabel="total wavenumber l")
    axes[1, 0].legend(frameon=False)
    axes[1, 1].semilogy(errors, color="#0072B2")
    axes[1, 1].set(title=f"error of z500 (m): doubles in {doubling(errors):.1f} days", xlabel="days")
    yearly = yearly_means(found["energy"])
    axes[1, 2].plot(yearly, "o-", markersize=3, color="#0072B2")
    axes[1, 2].set(title="energy (m² s⁻²), means of years", xlabel="year", ylim=(0, 1.2 * yearly.max()))
    figure.savefig(image, dpi=90, metadata={"Software": None})


def yearly_means(series: np.ndarray) -> np.ndarray:
    """Means of whole years of a daily series."""
    count = int(len(series) / 365.2425)
    return np.array([series[round(k * 365.2425) : round((k + 1) * 365.2425)].mean() for k in range(count)])


def main() -> None:
    """Run, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--years", type=int, default=30)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="two years, one pair of twins")
    given = parser.parse_args()
    world = QuasiGeostrophicWorld(Synthetic())
    began = time.perf_counter()
    found = years(world, 2 if given.quick else given.years)
    seconds = (time.perf_counter() - began) / (2 if given.quick else given.years)
    errors = growth(world, 1, 1) if given.quick else growth(world)
    yearly = yearly_means(found["energy"])
    result = {
        "seconds_per_year": seconds,  # daily output; four times as much is written for 6-hourly frames
        "doubling_days": doubling(errors),
        "trend_per_decade": float(np.polyfit(np.arange(len(yearly)), yearly, 1)[0] * 10 / yearly.mean()),
        "year_to_year": float(yearly.std(ddof=1) / yearly.mean()),
        "jet_m_s": float(found["wind"][:, 0].mean(0).max()),
        "storm_m": float(found["z500"].std(0).max()),
        "quick": given.quick,
    }
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))
    if given.image:
        draw(world, found, errors, given.image)


if __name__ == "__main__":
    main()
