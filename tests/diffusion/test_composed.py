"""A long stretch evaluated in overlapping windows."""

import pytest
import torch

from hindsight.diffusion import composed


def test_a_function_of_single_frames_is_blended_to_itself():
    x = torch.randn(3, 29, 5)
    starts = composed.starts(17, 29, 8, 4)
    blend = composed.compose(lambda part: part.square(), starts, 8, 7, x)
    torch.testing.assert_close(blend, x.square())


def test_a_local_function_agrees_with_the_one_long_window_inside():
    """A three-frame mean does not depend on window edges if windows overlap enough; the ends are left out."""

    def smooth(part):
        padded = torch.cat([part[:, :1], part, part[:, -1:]], 1)
        return (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3

    x = torch.randn(2, 40, 3).cumsum(1)
    blend = composed.compose(smooth, composed.starts(0, 40, 16, 4), 16, 64, x)
    whole = smooth(x)
    assert (blend - whole)[:, 6:-6].abs().max() < 0.05 * whole.std()


def test_a_tensor_may_be_shared_by_all_members():
    x, index = torch.randn(3, 12, 2), torch.arange(12.0).view(1, 12, 1).expand(1, 12, 2)
    blend = composed.compose(lambda a, b: a + b, [0, 4], 8, 2, x, index)
    torch.testing.assert_close(blend, x + index)


@pytest.mark.parametrize(("first", "frames"), [(0, 30), (7, 30), (1000, 23)])
def test_windows_start_at_absolute_frame_numbers_and_leave_no_gap(first, frames):
    starts = composed.starts(first, frames, 8, 4)
    inside = [s for s in starts if s not in (0, frames - 8)]
    assert all((first + s) % 4 == 0 for s in inside)
    assert {t for s in starts for t in range(s, s + 8)} == set(range(frames))


def test_a_stretch_shorter_than_a_window_is_one_window():
    x = torch.randn(2, 5, 3)
    assert composed.starts(3, 5, 8, 4) == [0]
    torch.testing.assert_close(composed.compose(lambda part: part * 2, [0], 8, 4, x), x * 2)
