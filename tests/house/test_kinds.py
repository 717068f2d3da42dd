"""A guidance, a sampling step or a regime is one module; it uses the settings that its entry in the settings lists."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from hindsight.settings import Reanalyse
from hindsight.settings.reanalyse import GUIDANCES, REGIMES, STEPS, Guidance, Sampler

SRC = Path(__file__).parents[2] / "src/hindsight"
PARTS = {"unguided"}  # modules of a package that are none of its kind


@pytest.mark.parametrize(
    ("folder", "table", "choices"),
    [
        ("diffusion/guidance", GUIDANCES, Guidance.model_fields["method"]),
        ("diffusion/steps", STEPS, Sampler.model_fields["step"]),
        ("reanalyse/regimes", REGIMES, Reanalyse.model_fields["regime"]),
    ],
)
def test_modules_and_settings_have_the_same_names(folder, table, choices):
    modules = {path.stem for path in (SRC / folder).glob("*.py")} - {"__init__"} - PARTS
    assert modules == set(table) == set(get_args(choices.annotation))


@pytest.mark.parametrize("method", GUIDANCES)
def test_a_guidance_takes_the_settings_that_it_lists(method):
    build = import_module(f"hindsight.diffusion.guidance.{method}").build
    first, *settings = inspect.signature(build).parameters
    assert first == "setup" and tuple(settings) == GUIDANCES[method].uses
    assert set(settings) <= set(Guidance.model_fields)


@pytest.mark.parametrize("step", STEPS)
def test_a_sampling_step_takes_the_settings_that_it_lists(step):
    build = import_module(f"hindsight.diffusion.steps.{step}").build
    assert tuple(inspect.signature(build).parameters) == STEPS[step] and set(STEPS[step]) <= set(Sampler.model_fields)


@pytest.mark.parametrize("regime", REGIMES)
def test_a_regime_lays_out_cycles(regime):
    cycles = import_module(f"hindsight.reanalyse.regimes.{regime}").cycles
    assert list(inspect.signature(cycles).parameters) == ["settings", "frames", "step_hours"]
    assert set(REGIMES[regime]) <= set(Reanalyse.model_fields)
