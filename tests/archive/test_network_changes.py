"""Lasting changes of the number of observations: planted ones are found on their day, seasons and gaps are none."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from hindsight.archive import network_changes
from hindsight.archive.network_changes import ChangeSearch
from hindsight.errors import UserError
from hindsight.settings.archive import NetworkChange

FIRST, LAND, SHIP = np.datetime64("2000-01-01", "D"), ("land station", "msl"), ("ship", "msl")
YEARS = 3653


def seasonal(days=YEARS, level=200, seed=0):
    """Poisson counts a day that vary by a tenth with the season."""
    rate = level * (1 + 0.1 * np.sin(2 * np.pi * np.arange(days) / 365.25))
    return np.random.default_rng(seed).poisson(rate)


def search(**series):
    found = ChangeSearch(NetworkChange())
    for day in range(len(next(iter(series.values())))):
        named = {LAND if name == "land" else SHIP: int(counts[day]) for name, counts in series.items()}
        found.add(FIRST + day, {kind: count for kind, count in named.items() if count})
    return found.results()


def test_ten_years_of_seasons_and_chance_have_no_change():
    assert search(land=seasonal(), ship=seasonal(level=3, seed=1)) == []


@pytest.mark.parametrize(("factor", "day"), [(0.6, 1000), (1.5, 500), (0.0, 2000), (0.7, 100)])
def test_a_lasting_change_is_found_near_its_day(factor, day):
    counts = seasonal()
    counts[day:] = (counts[day:] * factor).astype(int)
    [found] = search(land=counts, ship=seasonal(level=50, seed=2))
    assert abs(np.datetime64(found["time"]) - (FIRST + day)) <= np.timedelta64(3, "D")
    assert (found["platform"], found["channel"]) == LAND
    assert found["after"] / found["before"] == pytest.approx(factor, abs=0.1)


def test_a_platform_that_begins_and_ends_has_two_changes():
    ships = np.zeros(YEARS, int)
    ships[700:2000] = 40
    assert [(one["time"], one["before"], one["after"]) for one in search(land=seasonal(), ship=ships)] == [
        (str(FIRST + 700), 0, 40), (str(FIRST + 2000), 40, 0)]  # fmt: skip


@pytest.mark.parametrize(("length", "changes"), [(10, 0), (60, 2)])
def test_a_gap_is_a_change_only_if_it_lasts(length, changes):
    counts = seasonal()
    counts[400 : 400 + length] = 0
    assert len(search(land=counts)) == changes


def test_memory_does_not_grow_with_the_years():
    def peak(years):
        found = ChangeSearch(NetworkChange())
        tracemalloc.start()
        for day, count in enumerate(seasonal(365 * years)):
            found.add(FIRST + day, {LAND: int(count)})
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    seasonal(2), peak(1)
    assert peak(8) - 8 * 365 * 24 < peak(1) * 1.5  # the counts themselves are the test's


def table(path, *rows):
    columns = ["time", "code", "platform", "channel"]
    pd.DataFrame(rows, columns=columns).assign(time=lambda t: pd.to_datetime(t["time"], format="ISO8601")).to_parquet(
        path
    )
    return path


def test_days_are_counted_across_shards_and_only_observations_that_were_used(tmp_path):
    rejected = ("2000-01-01T12", 3, *LAND)
    one = table(tmp_path / "a.parquet", ("2000-01-01T06", 0, *LAND), rejected, ("2000-01-03", 0, *SHIP))
    two = table(tmp_path / "b.parquet", ("2000-01-03T12", 0, *SHIP), ("2000-01-03T12", 0, *LAND))
    none = table(tmp_path / "c.parquet")
    times = np.datetime64("2000-01-01", "ns") + np.arange(16) * np.timedelta64(6, "h")
    found = list(network_changes.daily([(times[:9], one), (times[9:12], two), (times[12:], none)]))
    assert found == [(FIRST, {LAND: 1}), (FIRST + 1, {}), (FIRST + 2, {SHIP: 2, LAND: 1}), (FIRST + 3, {})]


def test_feedback_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.parquet").write_text("no table")
    with pytest.raises(UserError, match="cannot read the feedback .*a.parquet"):
        list(network_changes.daily([(np.array([FIRST], "datetime64[ns]"), tmp_path / "a.parquet")]))
