"""Forecasts of ensemble filters: members drawn to start from, and members a frame later."""

from typing import Protocol

import numpy as np

from hindsight.baselines import each_frame
from hindsight.baselines.linear_model import LinearModel
from hindsight.fields import calendar
from hindsight.settings import Ensemble


class Forecasts(Protocol):
    """What a filter has instead of observations."""

    def start(self, time: np.datetime64) -> np.ndarray:
        """Members drawn from the climatology, (E, D), normalised."""
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

    def __init__(self, model: LinearModel, product: Ensemble, purpose: int, step_hours: int) -> None:
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
