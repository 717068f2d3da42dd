"""The built-in worlds by their names in the settings."""

from hindsight.dynamics.kuramoto_sivashinsky import KuramotoSivashinskyWorld
from hindsight.dynamics.lorenz96 import Lorenz96World
from hindsight.dynamics.navier_stokes import NavierStokesWorld
from hindsight.dynamics.quasi_geostrophic_world import QuasiGeostrophicWorld
from hindsight.dynamics.rain import RainWorld
from hindsight.dynamics.world import World
from hindsight.settings.download import Synthetic

WORLDS: dict[str, type[World]] = {
    "quasi_geostrophic": QuasiGeostrophicWorld,
    "lorenz96": Lorenz96World,
    "navier_stokes": NavierStokesWorld,
    "kuramoto_sivashinsky": KuramotoSivashinskyWorld,
    "rain": RainWorld,
}


def build(settings: Synthetic) -> World:
    """The world of the settings."""
    return WORLDS[settings.world](settings)
