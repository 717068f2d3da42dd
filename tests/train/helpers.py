"""A small prior over a process that is not Gaussian, for training tests."""

import numpy as np
import torch

from hindsight.fields.scaling import Scaling
from hindsight.prior import About, Prior
from hindsight.settings.train import Backbone, Colour, Train
from hindsight.train import colour
from hindsight.train.windows import Windows

SHAPE = (1, 4, 4)
SETTINGS = Train(
    window=4,
    steps=6,
    batch=4,
    threads=1,
    checkpoint_every=2,
    validate_every=3,
    warmup=2,
    bfloat16=False,
    learning_rate=5e-3,
    backbone=Backbone(width=8, multipliers=[1], blocks=1, embedding=16, dropout=0.1),
    colour=Colour(coupled_modes=4),
)


def two_states(frames, seed):
    """Every frame is one of two patterns, plus or minus, that seldom change: as far from Gaussian as can be."""
    generator = np.random.default_rng(seed)
    sign = np.cumprod(np.where(generator.random(frames) < 0.1, -1, 1))
    pattern = np.random.default_rng(99).standard_normal(SHAPE)
    noise = 0.1 * generator.standard_normal((frames, *SHAPE))
    return (sign[:, None, None, None] * pattern + noise).astype(np.float32)


def windows(frames=400, seed=0, window=4):
    times = np.datetime64("2000-01-01T12", "ns") + np.arange(frames) * np.timedelta64(1, "D")
    return Windows(times, two_states(frames, seed), window, "training")


def prior(settings=SETTINGS, seed=0):
    about = About(
        ["z500"],
        list(range(4)),
        list(range(4)),
        ["open", "open"],
        24,
        settings.window,
        settings.bfloat16,
        settings.backbone.model_dump(mode="json"),
        0,
        0,
        {},
    )
    process = colour.fit(two_states(400, 0).reshape(400, -1), settings.colour)
    torch.manual_seed(seed)
    return Prior(about, process, Scaling(np.zeros((1, *SHAPE)), np.ones(1), 0, 0), torch.zeros(3, 4, 4))
