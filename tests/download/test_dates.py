"""Times of files."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.download import dates
from hindsight.errors import UserError

DAYS = pd.date_range("2023-01-01", periods=5).to_numpy()


def axis(values, units=None, calendar=None):
    attrs = {"units": units, "calendar": calendar}
    return xr.Variable(("time",), values, {key: value for key, value in attrs.items() if value})


SPELLINGS = pytest.mark.parametrize(
    "times",
    [
        axis(np.arange(5), "days since 2023-01-01"),
        axis(np.arange(5) + 44925.0, "days since 1900-01-01", "proleptic_gregorian"),
        axis(np.arange(5) + 738522, "days since 1-1-1", "standard"),  # two days more than in the proleptic calendar
        axis(np.arange(5) + 738520, "days since 1-1-1", "proleptic_gregorian"),
        axis((np.arange(5) + 44925).astype("f4"), "days since 1900-01-01", "gregorian"),
        axis(20230101 + np.arange(5)),
        axis(20230101.0 + np.arange(5), "day as %Y%m%d.%f"),
        axis(np.array([f"2023-01-0{k} 00:00:00" for k in range(1, 6)], object)),
        axis(np.array([f"2023-01-0{k}T00:00Z" for k in range(1, 6)], object)),
        axis(DAYS.astype("datetime64[s]")),
    ],
)


@SPELLINGS
def test_spellings_of_the_same_days(times):
    np.testing.assert_array_equal(dates.decode(times, "x"), DAYS)


@SPELLINGS
def test_bounds_are_decoded_like_times(times):
    bounds = xr.Variable(("time", "bnds"), np.stack([times.values[:-1], times.values[1:]], 1), times.attrs)
    np.testing.assert_array_equal(dates.decode(bounds, "x"), np.stack([DAYS[:-1], DAYS[1:]], 1))


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (axis(np.arange(5), "days since 2000-01-01", "noleap"), "the calendar noleap"),
        (axis(np.arange(5), "days since 2000-01-01", "360_day"), "the calendar 360_day"),
        (axis(np.arange(5), "months since 2000-01-01"), "'months since 2000-01-01', not dates"),
        (axis(np.arange(5)), "units '', not dates"),
        (axis(np.arange(5), "days since the flood"), "cannot be read"),
        (axis(np.array(["noon"], object)), "'noon', which is no date"),
    ],
)
def test_times_that_are_not_dates_are_refused(times, says):
    with pytest.raises(UserError, match=says):
        dates.decode(times, "x")


def test_a_missing_time_is_nat():
    found = dates.decode(axis(np.array([0, np.nan, 2]), "days since 2023-01-01"), "x")
    np.testing.assert_array_equal(np.isnat(found), [False, True, False])


def test_rounding_of_single_precision_is_undone_and_half_hours_are_not():
    hours = pd.date_range("2023-01-01T00:30", periods=2000, freq="h").to_numpy()
    single = ((hours - np.datetime64("1900-01-01")) / np.timedelta64(1, "D")).astype("f4")
    given = dates.decode(axis(single, "days since 1900-01-01"), "x")
    assert np.abs(given - hours).max() > np.timedelta64(60, "s")  # what single precision does
    np.testing.assert_array_equal(dates.snap(given), hours)
    odd = np.array(["2023-01-01T00:04:00", "NaT"], "datetime64[ns]")
    np.testing.assert_array_equal(dates.snap(odd), odd)


def test_packed_times_are_unpacked_unchanged():
    regular = pd.date_range("1950-01-01", periods=10000, freq="h").to_numpy()
    assert len(dates.pack(regular)) == 1
    mixed = np.concatenate(
        [regular[:5], regular[8:3:-1], regular[20:22], [np.datetime64("NaT")], regular[:1], regular[:1]]
    )
    np.testing.assert_array_equal(dates.unpack(dates.pack(mixed)), mixed)
    assert dates.unpack([]).size == 0


def test_versions_that_are_preliminary():
    given = np.array(["0001", "0005", "1", "5", b"0005", 5, 1, 5.0, "0055"], object)
    np.testing.assert_array_equal(dates.preliminary(given), [0, 1, 0, 1, 1, 1, 0, 1, 0])
