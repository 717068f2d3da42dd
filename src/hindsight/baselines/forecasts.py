"""Forecasts of ensemble filters: members drawn to start from, and members a frame later."""

import hashlib
from typing import Protocol

import numpy as np

from hindsight.baselines import each_frame
from hindsight.baselines.linear_model import LinearModel
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.dynamics import worlds
from hindsight.errors import UserError
from hindsight.fields import calendar, intervals
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.settings import Ensemble, TrainingDomain
from hindsight.settings.download import Synthetic, WorldWithoutPeriod


class Forecasts(Protocol):
    """Where the members of a filter start, and how they are forecast."""

    def start(self, time: np.datetime64) -> np.ndarray:
        """Members drawn without observations, (E, D), normalised."""
        ...

    def after(self, states: np.ndarray, time: np.datetime64) -> np.ndarray:
        """Forecasts for a time from the members (E, D) of the frame before."""
        ...


class LinearForecasts:
    """Forecasts by the linear prior, with an error drawn for each member from the covariance of the model's error.

    So the spread needs no inflation for what the model lacks. The means of the draws over the members are subtracted:
    the ensemble starts from the climatology's mean, and its mean is forecast without noise.

    Args:
        model: the linear prior.
        product: members and seed.
        purpose: constant of the method's random numbers.
        step_hours: between frames.
    """

    def __init__(self, model: LinearModel, product: Ensemble, purpose: int, step_hours: float) -> None:
        self.model, self.product, self.purpose, self.step_hours = model, product, purpose, step_hours

    def start(self, time: np.datetime64) -> np.ndarray:
        """Members of the stationary distribution, (E, D)."""
        return self.model.forward(self._white(time)[:, None])[:, 0]

    def after(self, states: np.ndarray, time: np.datetime64) -> np.ndarray:
        """Forecasts (E, D) for a time from the members of the frame before."""
        return self.model.after(states, self._white(time))

    def _white(self, time: np.datetime64) -> np.ndarray:
        """White noise of every member at a frame, with mean zero over the members, (E, n)."""
        frame = int(calendar.frame_number(np.array([time]), self.step_hours)[0])
        drawn = each_frame.draw(self.product, self.purpose, frame, self.model.count)
        return drawn - drawn.mean(0)


class EquationForecasts:
    """Forecasts by the equations of the built-in world, which know no error of the model.

    Where the world is stirred at random, each member has a stirring of its own, which is not that of the truth. Members
    start from the climatology of the linear prior.

    Args:
        linear: forecasts by the linear prior.
        settings: of the world.
        scaling: of the fields.
        channels: of the fields: the world's variables.
        grid: of the fields.

    Raises:
        UserError: if the grid is not that of the world.
    """

    def __init__(
        self, linear: LinearForecasts, settings: Synthetic, scaling: Scaling, channels: list[str], grid: Grid
    ) -> None:
        own = f"{linear.product.seed} {linear.purpose}".encode()
        seed = int.from_bytes(hashlib.blake2b(own, digest_size=8).digest(), "little")
        self.world = worlds.build(settings.model_copy(update={"seed": seed}))
        self.linear, self.scaling, self.channels, self.shape = linear, scaling, channels, grid.shape
        self.step = intervals.time_step(linear.step_hours)
        if not grid.matches(Grid(self.world.latitude, self.world.longitude)):
            raise UserError(
                f"forecasts by the equations of world {settings.world} need its own grid, and the fields have {grid}; "
                "leave out preprocess.spacing and the edges of domain, or set model: linear_prior"
            )

    def start(self, time: np.datetime64) -> np.ndarray:
        """Members of the climatology, (E, D)."""
        return self.linear.start(time)

    def after(self, states: np.ndarray, time: np.datetime64) -> np.ndarray:
        """Forecasts (E, D) for a time from the members of the frame before.

        Raises:
            UserError: if the integration becomes unstable.
        """
        before = np.array([time - self.step])
        fields = self.scaling.restore(states.reshape(len(states), 1, -1, *self.shape), before)
        given = {name: fields[:, 0, place] for place, name in enumerate(self.channels)}
        since = self.world.seconds(np.repeat(before, len(states)))
        interval = float(self.step / np.timedelta64(1, "s"))
        weather = self.world.weather(self.world.advance(self.world.states(given), since, interval))
        found = np.stack([weather[name].reshape(len(states), *self.shape) for name in self.channels], 1)
        if not np.isfinite(found).all():
            raise UserError(f"forecasts for {calendar.text(time)} broke down {self.world.instability_advice}")
        normalised = self.scaling.normalise(found[:, None], np.array([time]))
        return normalised.reshape(states.shape).astype(float)


def build(
    model: str,
    process: GaussMarkov,
    product: Ensemble,
    purpose: int,
    *,
    domain: TrainingDomain,
    world: WorldWithoutPeriod,
    scaling: Scaling,
    grid: Grid,
) -> Forecasts:
    """The forecasts of a setting `model`: linear_prior or dynamics."""
    linear = LinearForecasts(LinearModel(process), product, purpose, domain.step_hours)
    if model == "linear_prior":
        return linear
    return EquationForecasts(linear, world.synthetic, scaling, domain.channels, grid)
