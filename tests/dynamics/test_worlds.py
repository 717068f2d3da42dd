"""The built-in worlds by name."""

from typing import get_args

import pytest

from hindsight.dynamics import worlds
from hindsight.settings.download import Synthetic


def test_every_world_of_the_settings_has_a_class():
    assert set(worlds.WORLDS) == set(get_args(Synthetic.model_fields["world"].annotation))


@pytest.mark.parametrize("name", worlds.WORLDS)
def test_a_world_is_built_from_its_settings(name):
    made = worlds.build(Synthetic(world=name, truncation=6, latitudes=8))
    assert type(made) is worlds.WORLDS[name] and made.settings.world == name
