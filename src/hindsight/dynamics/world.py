"""The base class of built-in worlds, which integrate several segments of time at once from different disturbances."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch

from hindsight.settings.download import Synthetic

DAY = 86400.0  # s


class World(ABC):
    """A simulation of a built-in world.

    Attributes:
        latitude: latitudes of the output grid (H,), degrees, south to north.
        longitude: longitudes of the output grid (W,), degrees.
        levels: pressures of the variables (hPa); empty if they have no levels.
        variables: output of each frame: name to CF standard name (empty if there is none) and units.
        fixed: the same for fields that do not change, see `static`.
        title: title of the source.
        equations: of the world, in words.
        instability_advice: the settings and what to change, for the error when the integration becomes unstable.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    levels: list[int]
    variables: dict[str, tuple[str, str]]
    fixed: dict[str, tuple[str, str]]
    title: str
    equations: str
    instability_advice: str

    def __init__(self, settings: Synthetic) -> None:
        torch.set_num_threads(settings.threads)
        device = "cuda" if settings.device == "auto" and torch.cuda.is_available() else settings.device
        self.device = torch.device("cpu" if device == "auto" else device)
        self.settings = settings

    @abstractmethod
    def disturbance(self, segment: int) -> torch.Tensor:
        """The initial state of the spin-up of a segment; a function of the seed and the number of the segment."""

    @abstractmethod
    def advance(self, states: torch.Tensor, time: torch.Tensor, interval: float) -> torch.Tensor:
        """Integrate states (S, …) from `time` (S,), seconds from 1 January 2000, over an interval (s)."""

    @abstractmethod
    def weather(self, states: torch.Tensor) -> dict[str, np.ndarray]:
        """Variables of states on the output grid, float32, (…, level, H, W), or (…, H, W) without levels."""

    def states(self, weather: dict[str, np.ndarray]) -> torch.Tensor:
        """States (S, …) from variables on the output grid (S, H, W): the inverse of `weather`, where there is one.

        Raises:
            NotImplementedError: if the variables do not determine the state.
        """
        raise NotImplementedError(f"{type(self).__name__}: its variables do not determine its state")

    def static(self) -> dict[str, np.ndarray]:
        """Fields that do not change, (H, W), by the names in `fixed`."""
        return {}

    def draws(self, segment: int) -> np.random.Generator:
        """Random number generator of a segment."""
        return np.random.Generator(np.random.Philox(key=self.settings.seed, counter=[0, 0, segment, 0]))

    def spin_up(self, begins: np.ndarray, watch: Callable[[int], None] = lambda days: None) -> torch.Tensor:
        """Integrate from the disturbances to the beginnings of the segments (S,); returns states (S, …)."""
        days = self.settings.spin_up_days
        states = torch.stack([self.disturbance(k) for k in range(len(begins))])
        time = self.seconds(begins) - days * DAY
        for day in range(days):
            states = self.advance(states, time + day * DAY, DAY)
            watch(day + 1)
        return states

    def frames(
        self,
        states: torch.Tensor,
        begins: np.ndarray,
        first: int,
        count: int,
        watch: Callable[[int], None] = lambda days: None,
    ) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
        """Integrate over `count` frames.

        Args:
            states: states of the segments at their frame `first`.
            begins: times at which the segments begin (S,).
            first: number of the first frame.
            count: number of frames.
            watch: called with the number of days done, including the spin-up.

        Returns:
            The states at the frame after the last, and the variables of the frames, see `weather`, (S, count, …).
        """
        interval, history = self.settings.step.total_seconds(), []
        for frame in range(first, first + count):
            history.append(states)
            states = self.advance(states, self.seconds(begins) + frame * interval, interval)
            watch(self.settings.spin_up_days + int((frame + 1) * interval / DAY))
        return states, self.weather(torch.stack(history, 1))

    def seconds(self, times: np.ndarray) -> torch.Tensor:
        """Seconds from 1 January 2000 of times (S,)."""
        return torch.as_tensor((times - np.datetime64("2000-01-01")) / np.timedelta64(1, "s"), device=self.device)
