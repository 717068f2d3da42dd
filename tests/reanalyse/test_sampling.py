"""Noise levels and the sampling step of the settings."""

import numpy as np
import pytest

from hindsight.diffusion import noise
from hindsight.diffusion.sampler import StepSettings
from hindsight.diffusion.steps.covariance import Covariance
from hindsight.diffusion.steps.ddim import Ddim
from hindsight.diffusion.steps.second_order import SecondOrder
from hindsight.reanalyse import sampling
from hindsight.settings import Reanalyse
from tests.reanalyse import worlds


def test_noise_levels_are_those_of_the_settings():
    np.testing.assert_array_equal(sampling.levels(worlds.settings()), noise.levels(3, 0.1, 3.0, 7.0))


def test_the_sampling_step_is_that_of_the_settings():
    chosen = worlds.settings(sampler={"step": "ddim", "eta": 0.3, "corrections": 2, "correction_size": 0.7})
    assert sampling.step_settings(chosen, 1.5) == StepSettings(Ddim(0.3), 2, 0.7, (9.0,))
    assert isinstance(sampling.step_settings(worlds.settings(), 1.0).step, Covariance)
    bounds = sampling.step_settings(worlds.settings(), 1.5, [2.0, 8.0]).bound
    assert bounds == (9.0, 12.0)  # what is observed is plausible
    chosen = worlds.settings(guidance={"method": "sda"}, sampler={"step": "second_order"})
    assert isinstance(sampling.step_settings(chosen, 1.0).step, SecondOrder)


def test_the_published_levels_are_cut_off_at_sigma_max():
    chosen = Reanalyse.model_validate({"design": "forcingdas"})
    whole = sampling.levels(chosen)
    assert len(whole) == 101 and whole[0] == 0 and whole[-1] == pytest.approx(1824.9, abs=0.1)
    cut = sampling.levels(chosen.model_copy(update={"sigma_max": 40.0}))
    np.testing.assert_array_equal(cut, [*whole[whole < 40], 40.0])
    assert len(cut) == 101  # one level alone lies above
