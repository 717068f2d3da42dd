"""The analyses that a shard is made of."""

import numpy as np
import pytest

from hindsight.archive import blocks
from hindsight.errors import UserError


def test_members_are_sorted_whatever_the_order_of_the_files(small):
    heads = blocks.headers(small.paths(small.cuts[0])[::-1])
    assert [int(head["realization"][0]) for head in heads] == [0, 2]
    found, truth = blocks.values(heads, "msl"), small.truth()[:, :10, 1]
    assert found.dtype == np.float32 and found.shape == (4, 10, 5, 6)
    np.testing.assert_allclose(found, truth, rtol=1e-6)


def test_the_origin_of_an_analysis_has_no_attribute_of_its_shard_alone(small):
    said = blocks.made_from(blocks.headers(small.paths(small.cuts[0]))[1])
    assert set(said) == {"analysis", "regime", "steps", "seed", "prior", "latitude", "longitude"}
    assert said == blocks.made_from(blocks.headers(small.paths(small.cuts[1]))[0])
    assert said["latitude"].startswith("5 from 40 to 44 (")


def test_other_frames_channels_members_and_grids_are_all_named(small):
    heads = blocks.headers(small.paths(small.cuts[0]))
    said = blocks.made_from(heads[0])
    times = small.cuts[0].times(24)
    with pytest.raises(UserError) as found:
        blocks.check_shard(heads, times[:9], 6, ["z500"], said | {"latitude": "9 from 0 to 8 (00000000)"})
    text = str(found.value)
    for words in ("holds 10 frames", "holds z500, msl, expected z500", "members 0, 1, 2, 3, expected 0 to 5",
                  "latitude: 9 from 0 to 8 (00000000) in the archive, 5 from 40 to 44"):  # fmt: skip
        assert words in text
    blocks.check_shard(heads, times, 4, ["z500", "msl"], said)


def test_a_grid_with_one_point_moved_differs(small):
    heads = blocks.headers(small.paths(small.cuts[0]))
    moved = heads[0].assign_coords(latitude=heads[0]["latitude"].values + [0, 0, 0.1, 0, 0])
    assert blocks.made_from(moved)["latitude"] != blocks.made_from(heads[0])["latitude"]
