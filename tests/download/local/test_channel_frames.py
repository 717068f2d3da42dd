"""The rows that make the frames of a channel."""

import numpy as np
import pytest

from hindsight.download.local import match
from hindsight.download.local.channel_frames import ChannelFrames
from hindsight.errors import UserError
from hindsight.settings.lexicon import CHANNELS
from tests.download.local.local_files import TIMES, field, listed, saved, variable


def frames(folder, *files, times=TIMES, channel="t2m"):
    found, request = listed(saved(folder, *files), channel)
    return ChannelFrames(CHANNELS[channel], match.match_channels(found, request), times)


def test_choices_are_ordered_by_what_is_final_then_by_name_then_by_file(tmp_path):
    early = variable(field()).assign_coords(expver="0005")
    named = variable(field(), name="tas").isel(time=slice(0, 4))
    made = frames(tmp_path, early, named, variable(field()).isel(time=slice(2, 8)))
    order = [made.table["series"].to_numpy()[layer[layer >= 0]].tolist() for layer in made.terms[0][1]]
    assert order == [[1, 1, 2, 2, 2, 2, 2, 2], [0, 0, 1, 1, 0, 0, 0, 0], [0, 0]]
    assert made.available.all() and not made.preliminary.any()


def test_available_and_preliminary_frames_are_listed(tmp_path):
    late = variable(field()).isel(time=slice(6, 8)).assign_coords(expver=5)
    made = frames(tmp_path, variable(field()).isel(time=slice(0, 5)), late)
    np.testing.assert_array_equal(made.available, [1, 1, 1, 1, 1, 0, 1, 1])
    np.testing.assert_array_equal(made.preliminary, [0, 0, 0, 0, 0, 0, 1, 1])
    assert len(made.used_rows) == 7


def test_rows_of_files_are_found_in_any_order(tmp_path):
    made = frames(tmp_path, variable(field()).isel(time=slice(None, None, -1)))
    np.testing.assert_array_equal(made.table["row"].to_numpy()[made.terms[0][1][0]], np.arange(8)[::-1])


def test_a_gap_between_the_frames_of_files_is_no_error_and_times_beyond_them_are(tmp_path):
    both = variable(field()).isel(time=[0, 7])
    assert not frames(tmp_path, both, times=TIMES[2:5]).available.any()
    with pytest.raises(UserError, match="no frame at 2023-01-03T00:00.*from 2023-01-01T00:00 to 2023-01-02T18:00"):
        frames(tmp_path, both, times=TIMES + np.timedelta64(2, "D"))
