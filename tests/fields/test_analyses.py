"""Analysis files."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.fields import analyses
from hindsight.fields.grid import Grid

GRID = Grid(np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0]))


def make(path, members, day, values=None):
    times = np.datetime64("2009-01-01T12", "ns") + (day + np.arange(4)) * np.timedelta64(1, "D")
    values = np.random.default_rng(day).standard_normal((len(members), 4, 1, 2, 3)) if values is None else values
    analyses.write(values, members, times, ["z500"], GRID, {"analysis": "test"}, path)
    return values


def test_the_same_values_give_the_same_bytes(tmp_path):
    for name in ("a.nc", "b.nc"):
        make(tmp_path / name, [0, 1], 0)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_blocks_of_members_and_shards_of_time_are_put_in_order(tmp_path):
    paths = [tmp_path / name for name in ("s2-0.nc", "s1-1.nc", "s1-0.nc", "s2-1.nc")]
    second, _, first, _ = (make(p, m, d) for p, m, d in zip(paths, ([0, 1], [2, 3], [0, 1], [2, 3]), (4, 0, 0, 4)))
    found = analyses.read(paths)
    assert found["analysis"].shape == (4, 8, 1, 2, 3)
    np.testing.assert_allclose(found["analysis"].values[:2, :4], first, rtol=1e-6)
    np.testing.assert_allclose(found["analysis"].values[:2, 4:], second, rtol=1e-6)
    assert [len(group) for group in analyses.by_shard(paths)] == [2, 2]


def test_a_value_that_is_not_finite_is_never_written(tmp_path):
    with pytest.raises(FloatingPointError):
        make(tmp_path / "a.nc", [0], 0, np.full((1, 4, 1, 2, 3), np.nan))
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    make(tmp_path / "a.nc", [0], 0)
    (tmp_path / "a.nc").write_bytes((tmp_path / "a.nc").read_bytes()[:500])
    with pytest.raises(UserError, match="cannot read the analysis"):
        analyses.read([tmp_path / "a.nc"])


def test_times_that_no_file_has_are_told(tmp_path):
    make(tmp_path / "a.nc", [0], 0)
    with pytest.raises(UserError, match="no frame is in both the times that are asked for and the 1 analyses"):
        analyses.read([tmp_path / "a.nc"], np.array(["2011-01-01"], "datetime64[ns]"))
