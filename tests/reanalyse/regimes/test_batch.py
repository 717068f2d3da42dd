"""Batch: its cycles, and resampling in time."""

import numpy as np
import torch

from hindsight.diffusion.schedule import Cycle
from hindsight.reanalyse import regimes
from tests.reanalyse import worlds


def test_a_batch_is_one_cycle_and_one_for_each_pass():
    cycles = lambda **settings: regimes.cycles(worlds.settings(**settings), 9, 24)
    assert len(cycles()) == 1 and len(cycles(selection={"passes": 2})) == 3


def test_members_are_resampled_frame_by_frame():
    """Misfits count near their time: far from the observations no member moves."""
    seen = worlds.table(frames=1)
    chosen = {"selection": {"passes": 1, "reach_hours": 48.0, "effective": 0.34}}
    found = worlds.assimilation(worlds.busy(), seen, frames=20, **chosen)
    members = torch.stack([torch.full((20, 16), float(k)) for k in (0, 40, 80)])
    whole = Cycle(0, np.array([[0.5] * 20, [0.0] * 20]), np.zeros(20, int), 0, True)
    after = regimes.resample(found, members, whole.rows[-1], whole)
    assert (after[:, :3] == 0).all() and torch.equal(after[:, 16:], members[:, 16:])
