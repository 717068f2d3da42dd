"""Nonlinear observations, linearised about any estimate of the state.

Where y = h(z) + e and the channels z at the station are weighted sums of the state, z = z_c + B x, then near x_e

    y - h(z_e) + H_e x_e = H_e x + e',      H_e = h'(z_e) B,

and the variance of e' is that of e plus what the slopes leave out (`derived`).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

from hindsight.operators import derived
from hindsight.operators.derived import Array, Linear


@dataclass(frozen=True)
class NonlinearRows:
    """What the rows of an observation operator need to be linearised again; arrays of NumPy or Torch.

    The leading axes … are those of the rows. The K values of a row are J blocks, one for each channel that a row may
    be computed from, in the order of `Derived.channels`.

    Attributes:
        kind: number of the function, `Derived.kind`; 0: the row is linear; (…).
        operator: B, weights of the state's values in the channels' units, (…, K).
        mean: of these channels at the station, by the climatology, (…, J).
        observed: value in its units, (…).
        error: of the observation, in its units, (…).
        unit: that the row is divided by, (…).
        elevation: of the station, m, (…).
    """

    kind: Array
    operator: Array
    mean: Array
    observed: Array
    error: Array
    unit: Array
    elevation: Array

    def each(self, change: Callable[[Array], Array]) -> "NonlinearRows":
        """Apply the same change to every array."""
        return NonlinearRows(*(change(getattr(self, one.name)) for one in fields(self)))

    def at(self, values: Array, spread: Array) -> tuple[Array, Array, Array, Array]:
        """The nonlinear rows, linearised about an estimate.

        Args:
            values: B x_e of every value of the rows, (E, …, K).
            spread: standard deviation of the estimate's channels, (…, J), in their units.

        Returns:
            Of the R nonlinear rows: slopes by the channels (E, R, J), values y - h(z_e) + H_e x_e (E, R) and errors
            (E, R), all in the unit of each row; and which rows these are (…).
        """
        which, shape = self.kind > 0, self.mean.shape[-1]
        kind, unit = self.kind[which], self.unit[which]
        moved = values[:, which].reshape(len(values), len(kind), shape, -1).sum(-1)
        line = self._line(kind, self.mean[which] + moved, spread[which], self.elevation[which])
        slopes = line.slopes[0]
        value = (self.observed[which] - line.value + (slopes * moved).sum(-1)) / unit
        error = (self.error[which] ** 2 + line.variance) ** 0.5 / unit
        return slopes / unit[:, None], value, error, which

    def _line(self, kind: Array, state: Array, spread: Array, elevation: Array) -> Linear:
        """Values (E, R), slopes (E, R, J) and variances (E, R) at the states (E, R, J)."""
        value, slopes, variance = state[..., 0] * 0, state * 0, state[..., 0] * 0
        for number, (name, function) in enumerate(derived.NONLINEAR.items(), 1):
            rows, places = kind == number, range(derived.COUNT[name])
            if not rows.any():
                continue
            z, s, columns = state[:, rows], spread[rows], {"elevation": elevation[rows]}
            line = function([z[..., k] for k in places], [s[..., k] for k in places], columns)
            value[:, rows], variance[:, rows] = line.value, line.variance
            for place, slope in enumerate(line.slopes):
                slopes[:, rows, place] = slope
        return Linear(value, [slopes], variance)
