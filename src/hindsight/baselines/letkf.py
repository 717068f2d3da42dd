"""The local ensemble transform Kalman filter (Hunt, Kostelich and Szunyogh 2007, doi:10.1016/j.physd.2006.11.008).

Members are forecast from frame to frame (`forecasts`), and analysed at every frame (`ensemble_filter`) as combinations
of themselves. With the deviations X of E members from their mean x, those Y of the equivalents of the observations,
which need not be linear, the mean departure d of the observations and the covariance R of their errors, the members
become

    x + X (w + W),    w = P Y^T R^-1 d,    W = ((E - 1) P)^(1/2),    P = ((E - 1) I + Y^T R^-1 Y)^-1,

at each point of the grid, with errors that grow with the distance of an observation (`localisation`). Then the spread
is relaxed towards that of the forecast (Whitaker and Hamill 2012, doi:10.1175/MWR-D-11-00276.1). The filter starts
`halo` frames before the shard, from members drawn from the linear prior without observations.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.sparse

from hindsight import __version__, prior
from hindsight.baselines import each_frame, ensemble_filter, forecasts
from hindsight.baselines.equivalents import Equivalents
from hindsight.baselines.localisation import Localisation
from hindsight.fields import analyses, intervals, store
from hindsight.fields.grid import Grid
from hindsight.operators.rows import Rows
from hindsight.settings import Baselines, Ensemble, TrainingDomain
from hindsight.settings.download import WorldWithoutPeriod

PURPOSE = 11 << 32  # constant of this module's random numbers, so that no two methods share any
POINTS = 512  # analysed at a time, for memory
PRODUCTS = 2**22  # of two members' deviations, at a time, for memory


def run(
    domain: TrainingDomain,
    product: Ensemble,
    settings: Baselines,
    world: WorldWithoutPeriod,
    *,
    fields: Path,
    climatology: Path,
    statistics: Path,
    observations: list[Path],
    shard: str,
    analysis: Path,
    linear_prior: Path,
) -> None:
    """Analyse by the local ensemble transform Kalman filter, with forecasts from frame to frame."""
    grid, chosen = Grid.of(store.read(fields)), settings.letkf
    process, scaling = prior.read_linear(linear_prior, climatology, statistics, grid)
    times = intervals.parse(shard, domain.step_hours).times
    step = intervals.time_step(domain.step_hours)
    stretch = times[0] + np.arange(-chosen.halo, len(times)) * step
    files = {"statistics": statistics, "observations": observations}
    rows = each_frame.read_rows(domain, grid, scaling, **files, times=stretch, halo=0)
    model = forecasts.build(
        chosen.model, process, product, PURPOSE, domain=domain, world=world, scaling=scaling, grid=grid
    )
    method = LETKF(Localisation(grid, domain.torus, chosen.localisation_km), chosen.relaxation)
    values = ensemble_filter.forecast_and_analyse("letkf", method, model, rows, stretch, domain.step_hours, chosen.halo)
    values = scaling.restore(values.reshape(*values.shape[:2], len(domain.channels), *grid.shape), times)
    attributes = {"analysis": "letkf", **chosen.model_dump(exclude_none=True)}
    attributes |= {"seed": product.seed, "hindsight": __version__}
    analyses.write(values, list(range(product.members)), times, domain.channels, grid, attributes, analysis)


class LETKF:
    """The analysis of an ensemble.

    Args:
        localisation: of the grid.
        relaxation: share of the spread's reduction that is undone; 1: the spread stays that of the forecast.
    """

    def __init__(self, localisation: Localisation, relaxation: float) -> None:
        self.localisation, self.relaxation = localisation, relaxation

    def analyse(self, states: np.ndarray, rows: Rows, time: np.datetime64) -> np.ndarray:
        """The members (E, S * D) given rows; values at points that no row reaches stay as they are."""
        departure = Equivalents(rows, states.shape[1]).departures(states)
        innovation = departure.mean(0)
        factors = self.localisation.factors(rows)
        fields = states.reshape(len(states), -1, self.localisation.points)
        found = fields.copy()
        for points in _blocks(np.flatnonzero(np.diff(factors.indptr))):
            weights = transforms(factors[points], innovation - departure, innovation)
            found[:, :, points] = self._combined(fields[:, :, points], weights)
        return found.reshape(states.shape)

    def _combined(self, fields: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Members (E, L, P) as combinations of the members, with weights (P, E, E); with the relaxed spread."""
        mean = fields.mean(0)
        before = fields - mean
        moved = (before.transpose(2, 1, 0) @ weights).transpose(2, 1, 0)
        shift = moved.mean(0)
        after = moved - shift
        reduced, spread = after.std(0), before.std(0)
        lost = np.divide(spread - reduced, reduced, out=np.zeros_like(spread), where=reduced > 0)
        return mean + shift + after * (1 + self.relaxation * lost)


def transforms(factors: scipy.sparse.csr_array, deviations: np.ndarray, innovation: np.ndarray) -> np.ndarray:
    """The matrices w + W of P points, (P, E, E): column i makes member i of the members' deviations.

    Args:
        factors: of N observations at the points, (P, N).
        deviations: of the members' equivalents, over the observation errors, (E, N).
        innovation: the mean departure of the observations, over their errors, (N,).
    """
    members = len(deviations)
    right = factors @ (deviations * innovation).T
    values, vectors = np.linalg.eigh(_products(factors, deviations))
    inverse = 1 / (members - 1 + np.maximum(values, 0))
    mean = vectors @ (inverse[..., None] * (vectors.mT @ right[..., None]))
    root = (vectors * np.sqrt((members - 1) * inverse)[:, None]) @ vectors.mT
    return mean + root


def _products(factors: scipy.sparse.csr_array, deviations: np.ndarray) -> np.ndarray:
    """Y^T R^-1 Y at P points, (P, E, E); the products of all pairs of members, some observations at a time."""
    members, seen = len(deviations), np.unique(factors.indices)
    total = np.zeros((factors.shape[0], members**2))
    count = max(1, PRODUCTS // members**2)
    for first in range(0, len(seen), count):
        part = seen[first : first + count]
        some = deviations[:, part].T
        total += factors[:, part] @ (some[:, :, None] * some[:, None]).reshape(len(part), -1)
    return total.reshape(-1, members, members)


def _blocks(points: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(points), POINTS):
        yield points[first : first + POINTS]
