"""Moments of pieces against all frames at once."""

import itertools

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import harmonics
from hindsight.preprocess import moments
from hindsight.preprocess.moments import Moments, gather
from hindsight.settings import Preprocess
from hindsight.settings.domain import TrainingDomain
from tests.preprocess.worlds import stored

GLOBE = Grid(np.linspace(-75, 75, 6), np.arange(8) * 45.0)
TIMES = np.datetime64("2000-01-01T00", "ns") + np.arange(2 * 1464) * np.timedelta64(6, "h")
DAILY = Preprocess(annual_harmonics=2, daily_harmonics=1)
TRAINING = TrainingDomain.model_validate(
    {
        "channels": ["z500", "t850"],
        "step_hours": 6,
        "latitude_edges": "pole",
        "longitude_edges": "periodic",
        "train": {"start": "2000-02-01T06:00", "end": "2001-11-15T12:00"},
        "validation": {"start": "2002-01-01", "end": "2002-01-31"},
    }
)
OPEN = TRAINING.model_copy(update={"longitude_edges": "open", "latitude_edges": "open"})
INSIDE = (TIMES >= np.datetime64("2000-02-01T06")) & (TIMES <= np.datetime64("2001-11-15T12"))


def weather(seed=0, masked=()):
    """Geopotential and temperature on a globe with a season, a day, waves that both channels share, and offsets."""
    generator = np.random.default_rng(seed)
    season = harmonics(TIMES, 2, 1) @ generator.standard_normal((11, 2 * 6 * 8))
    waves = generator.standard_normal((len(TIMES), 1, 6, 8))
    waves = waves + 0.7 * np.roll(waves, 1, -1)
    own = generator.standard_normal((len(TIMES), 2, 6, 8)) + waves + 0.4 * np.roll(waves, 1, -1) * [[[0]], [[1]]]
    values = (own + season.reshape(own.shape)) * np.array([1000.0, 8.0])[:, None, None]
    values = values + np.array([54000.0, 280.0])[:, None, None]
    known = ~np.isin(np.arange(len(TIMES)), masked)
    values[~known] = np.nan
    return xr.Dataset(
        {
            "fields": (("time", "channel", "latitude", "longitude"), values.astype(np.float32)),
            "available": ("time", known),
        },
        coords={"time": TIMES, "channel": ["z500", "t850"], **GLOBE.coordinates},
    )


MASKED = [*range(300, 340), 1000, 2400]


@pytest.fixture(scope="module")
def whole():
    return weather(masked=MASKED)


def states(dataset, edges, folder, training=TRAINING, settings=DAILY, chunk=64, shard=None):
    """Files of the moments of pieces between edges."""
    made = []
    for first, last in itertools.pairwise(edges):
        piece, made = folder / f"{first}_{last}.zarr", [*made, folder / f"{first}_{last}.nc"]
        stored(dataset.isel(time=slice(first, last)), piece, min(chunk, last - first), shard)
        moments.run(training, settings, piece=piece, moments=made[-1])
    return made


@pytest.fixture(scope="module")
def pieces(whole, tmp_path_factory):
    """Moments of four pieces; the first has frames before the training period alone."""
    return states(whole, [0, 100, 1024, 1700, len(TIMES)], tmp_path_factory.mktemp("pieces"))


def residuals(dataset):
    """Departures (T, C, H, W) of the known training frames from least-squares harmonics; these; and the frames."""
    chosen = dataset["available"].values & INSIDE
    values, design = dataset["fields"].values[chosen].astype(float), harmonics(TIMES[chosen], 2, 1)
    offset = values.mean(0)
    found = np.linalg.lstsq(design, (values - offset).reshape(len(values), -1), rcond=None)[0]
    left = values - offset - (design @ found).reshape(values.shape)
    found = found.reshape(-1, *values.shape[1:])
    found[0] += offset
    return left, found, values


def brute_spectrum(left, grid=GLOBE):
    """E[F_c(m) conj F_c'(m)], wave by wave and latitude by latitude."""
    area = np.diff(np.sin(np.deg2rad(grid.cell_edges[0])))
    area, width = area / area.sum(), len(grid.longitude)
    found = np.zeros((2, 2, width // 2 + 1), complex)
    for m in range(width // 2 + 1):
        wave = np.exp(-2j * np.pi * m * np.arange(width) / width) / width
        coefficient = left @ wave  # (T, C, H)
        for row, share in enumerate(area):
            found[..., m] += share * np.einsum("tc,td->cd", coefficient[..., row], coefficient[..., row].conj())
    return found / len(left)


def test_statistics_from_pieces_equal_those_of_all_frames_at_once(whole, pieces):
    left, coefficients, values = residuals(whole)
    found = gather(pieces, TRAINING)
    assert found.frames == len(left) == INSIDE.sum() - len([n for n in MASKED if INSIDE[n]])
    np.testing.assert_allclose(found.coefficients, coefficients, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(found.variance, left.var(0) + left.mean(0) ** 2, rtol=1e-10)
    np.testing.assert_allclose(found.spread, np.std(left, axis=(0, 2, 3)), rtol=1e-10)
    np.testing.assert_array_equal(found.lowest, values.min((0, 2, 3)))
    np.testing.assert_array_equal(found.highest, values.max((0, 2, 3)))
    expected = brute_spectrum(left)
    np.testing.assert_allclose(found.spectrum, expected, rtol=1e-10, atol=1e-9 * np.abs(expected).min((0, 1)).min())
    assert np.abs(expected[0, 1].imag).max() > 0.05 * np.abs(expected[0, 1]).max()  # one channel lies east of the other


def test_the_spectrum_adds_up_to_the_covariance(whole, pieces):
    """Parseval's theorem: every wave but the first and the last stands for two."""
    left, weights = residuals(whole)[0], GLOBE.weights / GLOBE.weights.sum()
    covariance = np.einsum("tchw,tdhw,hw->cd", left, left, weights) / len(left)
    spectrum = gather(pieces, TRAINING).spectrum.real
    twice = np.array([1, 2, 2, 2, 1])
    np.testing.assert_allclose((spectrum * twice).sum(-1), covariance, rtol=1e-9)


def sums(state):
    return [state.frames, state.normal, state.moment, state.square, state.lowest, state.highest, state.waves]


def nearly(found, expected, scale=1e-12):
    for one, other in zip(sums(found), sums(expected)):
        np.testing.assert_allclose(one, other, rtol=scale, atol=scale * np.abs(other).max())


def test_pieces_add_up_in_any_order_to_the_same(pieces):
    read = [Moments.read(path) for path in pieces]
    expected = gather(pieces, TRAINING)
    for order in itertools.permutations(read):
        nearly(((order[0] + order[1]) + order[2]) + order[3], expected)
        nearly(order[0] + (order[1] + (order[2] + order[3])), expected)
    for one, other in itertools.combinations(read, 2):
        assert all(np.array_equal(a, b) for a, b in zip(sums(one + other), sums(other + one)))


@pytest.mark.parametrize("edges", [[0, 2928], [0, 1, 2, 500, 2928], [0, 1464, 2928]], ids=len)
def test_pieces_may_be_cut_anywhere(whole, pieces, edges, tmp_path):
    found, expected = gather(states(whole, edges, tmp_path, chunk=50), TRAINING), gather(pieces, TRAINING)
    nearly(found, expected)
    np.testing.assert_allclose(found.variance, expected.variance, rtol=1e-10)
    np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=1e-11, atol=1e-8)


@pytest.mark.parametrize("block", [1.0, 5 * 8 * 96, 1e9])
def test_block_size_and_zarr_shards_do_not_change_the_moments(whole, pieces, block, tmp_path, monkeypatch):
    monkeypatch.setattr(moments, "BLOCK", block)
    nearly(gather(states(whole, [0, 2928], tmp_path, chunk=64, shard=512), TRAINING), gather(pieces, TRAINING))


def test_blocks_keep_to_their_size_and_hold_every_wanted_frame_once(whole, monkeypatch, tmp_path):
    monkeypatch.setattr(moments, "BLOCK", 8 * 96 * 7)
    stored(whole, tmp_path / "fields.zarr", 30)
    array = moments.zarr.open_group(tmp_path / "fields.zarr", mode="r")["fields"]
    wanted = np.isin(np.arange(len(TIMES)), [3, *range(25, 95), 2927])
    found = list(moments.blocks(array, wanted))
    assert np.concatenate([n for n, _ in found]).tolist() == np.flatnonzero(wanted).tolist()
    assert max(len(n) for n, _ in found) == 7 and all(v.dtype == np.float64 for _, v in found)
    for numbers, values in found:
        np.testing.assert_array_equal(values, whole["fields"].values[numbers])


def test_masked_frames_do_not_change_the_moments(whole, pieces, tmp_path):
    other = whole.copy(deep=True)
    other["fields"][MASKED] = 1e6
    nearly(gather(states(other, [0, 2928], tmp_path), TRAINING), gather(pieces, TRAINING))


def test_without_a_mask_every_frame_counts(whole, tmp_path):
    plain = weather().drop_vars("available")
    assert gather(states(plain, [0, 2928], tmp_path), TRAINING).frames == INSIDE.sum()


def test_a_piece_without_a_training_frame_changes_nothing(pieces):
    nothing, others = Moments.read(pieces[0]), gather(pieces[1:], TRAINING)
    assert nothing.frames == 0 and not nothing.moment.any() and not nothing.waves.any()
    assert np.isposinf(nothing.lowest).all() and np.isneginf(nothing.highest).all()
    for found in (nothing + others, others + nothing):
        assert all(np.array_equal(a, b) for a, b in zip(sums(found), sums(others)))


def test_no_training_frame_at_all_is_refused(whole, pieces, tmp_path):
    says = "none of 1 pieces has an available frame from 2000-02-01 to 2001-11-15.*move domain.train"
    with pytest.raises(UserError, match=says):
        gather(pieces[:1], TRAINING)
    masked = whole.assign(available=("time", np.zeros(len(TIMES), bool)))
    with pytest.raises(UserError, match=says):
        gather(states(masked, [0, 2928], tmp_path), TRAINING)
    with pytest.raises(UserError, match="none of 0 pieces"):
        gather([], TRAINING)


def test_a_file_holds_the_whole_state(pieces, tmp_path):
    state = gather(pieces, TRAINING)
    state.write(tmp_path / "m.nc")
    found = Moments.read(tmp_path / "m.nc")
    assert found.layout.matches(state.layout) and all(np.array_equal(a, b) for a, b in zip(sums(found), sums(state)))
    with pytest.raises(UserError, match=r"cannot read .*none\.nc.*run snakemake to make it"):
        Moments.read(tmp_path / "none.nc")


def test_there_is_no_spectrum_unless_longitudes_are_periodic(whole, pieces, tmp_path):
    found = gather(states(whole, [0, 1464, 2928], tmp_path, OPEN), OPEN)
    assert found.spectrum is None
    np.testing.assert_allclose(found.variance, gather(pieces, TRAINING).variance, rtol=1e-10)


def test_moments_of_different_layouts_cannot_be_added(whole, pieces, tmp_path):
    year = whole.isel(time=slice(1000, 2000))
    changed = {
        "harmonics": ({}, Preprocess(annual_harmonics=2, daily_harmonics=0), TRAINING),
        "channels": ({"channel": ["z500", "t500"]}, DAILY, TRAINING),
        "grid": ({"latitude": GLOBE.latitude + 1}, DAILY, TRAINING),
        "edges": ({}, DAILY, OPEN),
    }
    for name, (coordinates, settings, training) in changed.items():
        (tmp_path / name).mkdir()
        other = states(year.assign_coords(coordinates), [0, 1000], tmp_path / name, training, settings)
        with pytest.raises(UserError, match="cannot be added, as their settings differ; delete"):
            gather([pieces[0], *other], TRAINING)


def january(years):
    """The moments of that month of many years, and no other."""
    times = np.arange(np.datetime64("1950-01-01T00", "ns"), np.datetime64("1950-02-01"), np.timedelta64(6, "h"))
    times = np.concatenate([times + np.timedelta64(365 * 24 * year, "h") for year in range(years)])
    point = xr.Dataset(coords={"time": times, "channel": ["z500"], "latitude": [0.0], "longitude": [0.0]})
    state = Moments.zero(point, Preprocess(annual_harmonics=3), False)
    state.add_frames(times, np.random.default_rng(0).standard_normal((len(times), 1, 1, 1)))
    return state


def test_frames_that_do_not_determine_the_harmonics_are_refused(tmp_path):
    for years, says in (
        (11, "341 days of available frames.*needs at least a year"),
        (20, "2480.* leave out so much of the year"),
    ):
        january(years).write(tmp_path / "moments.nc")
        with pytest.raises(UserError, match=says):
            gather([tmp_path / "moments.nc"], TRAINING)


def test_points_that_are_not_covered_count_neither_for_the_spread_nor_for_the_range(tmp_path):
    """They have one value in all frames: no variance, which would make the spread smaller."""
    covered = np.ones((6, 8), bool)
    covered[:3, :5] = False
    whole = weather()
    filled = whole.assign(fields=whole["fields"].where(xr.DataArray(covered, dims=("latitude", "longitude")), -1e6))
    filled = filled.assign_coords(covered=(("latitude", "longitude"), covered))
    found = []
    for name, dataset in (("whole", whole), ("filled", filled)):
        stored(dataset, tmp_path / f"{name}.zarr")
        moments.run(OPEN, DAILY, piece=tmp_path / f"{name}.zarr", moments=tmp_path / f"{name}.nc")
        found.append(Moments.read(tmp_path / f"{name}.nc"))
    of_whole, of_filled = found
    np.testing.assert_allclose(of_filled.spread, np.sqrt(of_whole.variance[:, covered].mean(1)), rtol=1e-12)
    values = whole["fields"].values[INSIDE][..., covered]
    np.testing.assert_allclose(of_filled.lowest, values.min((0, 2)))
    np.testing.assert_allclose(of_filled.highest, values.max((0, 2)))
    assert of_filled.variance[:, ~covered].max() < 1.0  # rounding of sums of 1e12
    with pytest.raises(UserError, match="33 of them covered"):
        of_whole + of_filled
