"""Small priors for tests: of a process that is not Gaussian, and on the globe."""

import numpy as np
import torch

from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.prior import Metadata, Prior, maps
from hindsight.settings.train import Backbone, LinearPrior, Train
from hindsight.train import linear_prior
from hindsight.train.windows import Windows

GRID = Grid(np.arange(4.0), np.arange(4.0))
SHAPE = (1, *GRID.shape)
GLOBE = Grid(np.array([-75.0, -45.0, -15.0, 15.0, 45.0, 75.0]), np.arange(8) * 45.0)
SETTINGS = Train(
    window=4,
    steps=6,
    batch=4,
    threads=1,
    checkpoint_every=2,
    validate_every=3,
    warmup=2,
    precision="float32",
    learning_rate=5e-3,
    backbone=Backbone(width=8, multipliers=[1], blocks=1, embedding=16, dropout=0.1),
    linear_prior=LinearPrior(coupled_modes=4),
)
WAVES = SETTINGS.model_copy(update={"linear_prior": LinearPrior(basis="waves", coupled_modes=2)})


def two_states(frames, seed):
    """Frames with one pattern whose sign seldom changes: far from Gaussian."""
    generator = np.random.default_rng(seed)
    sign = np.cumprod(np.where(generator.random(frames) < 0.1, -1, 1))
    pattern = np.random.default_rng(99).standard_normal(SHAPE)
    noise = 0.1 * generator.standard_normal((frames, *SHAPE))
    return (sign[:, None, None, None] * pattern + noise).astype(np.float32)


def windows(frames=400, seed=0, window=4):
    times = np.datetime64("2000-01-01T12", "ns") + np.arange(frames) * np.timedelta64(1, "D")
    return of(times, two_states(frames, seed), window)


class Held:
    """Departures (T, C, H, W) in memory with the interface of `Frames`; some may be masked."""

    def __init__(self, values, grid=GRID, segment=None, block=64):
        self.values, self.grid, self.shape, self.block = values, grid, values.shape[1:], block
        self.segment = np.zeros(len(values), int) if segment is None else segment
        self.read = []

    def __call__(self, first, last):
        self.read.append((first, last))
        return self.values[first:last].reshape(last - first, -1)

    def blocks(self, overlap=0):
        starts = range(0, len(self.values), self.block)
        return [(max(a - overlap, 0), a, min(a + self.block, len(self.values))) for a in starts]


def of(times, values, window=4, split="training", segment=None):
    """Windows of fields (T, C, H, W) in memory."""
    flat = values.reshape(len(values), values[0].size if len(values) else 0)
    return Windows(times, lambda first, last: flat[first:last], window, split, segment)


def metadata_of(settings, channels, grid, edges):
    return Metadata(
        channels,
        list(grid.latitude),
        list(grid.longitude),
        edges,
        24,
        settings.window,
        settings.precision,
        settings.points.share > 0,
        settings.backbone.model_dump(mode="json"),
        0,
        0,
        {},
        settings.design,
    )


def prior(settings=SETTINGS, seed=0):
    process = linear_prior.fit(Held(two_states(400, 0)), settings.linear_prior)
    torch.manual_seed(seed)
    scaling = Scaling(np.zeros((1, *SHAPE)), np.ones(1), 0, 0)
    return Prior(metadata_of(settings, ["z500"], GRID, ["open", "open"]), process, scaling, torch.zeros(3, 4, 4))


def red(frames, seed, rho=0.8):
    """Two channels on the globe: red noise in time, in standard deviations, without weights by area."""
    generator = np.random.default_rng(seed)
    x, found = np.zeros((2, *GLOBE.shape)), []
    for _ in range(frames):
        x = rho * x + np.sqrt(1 - rho**2) * generator.standard_normal(x.shape)
        found.append((x + np.roll(x, 1, -1) + x.mean((1, 2), keepdims=True)) / 2)
    return np.array(found, np.float32)


def globe(settings=WAVES, seed=0):
    """A prior of waves on the globe, with weights by area."""
    coefficients = np.random.default_rng(7).normal(100, 20, (1, 2, *GLOBE.shape))
    scaling = Scaling(coefficients, np.array([2.0, 30.0]), 0, 0).weighted_by_area(GLOBE.weights)
    edges, fields = ["pole", "periodic"], (red(300, 0) * scaling.measure).astype(np.float32)
    process = linear_prior.fit(Held(fields, GLOBE), settings.linear_prior)
    torch.manual_seed(seed)
    metadata = metadata_of(settings, ["z500", "t850"], GLOBE, edges)
    return Prior(metadata, process, scaling, maps(GLOBE))
