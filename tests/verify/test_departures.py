"""Summaries of feedback: scores by hand, independence of shards, Desroziers' estimate, numbers by month, ranks."""

import numpy as np
import pandas as pd
import pytest

from hindsight.settings import Ensemble
from hindsight.settings.verify import Region
from hindsight.verify import departures

DAYS, MEMBERS = 90, 4
PRODUCT = Ensemble(members=MEMBERS)


def table(seed=0, stations=30, error=0.5):
    """Scalar analyses that are optimal, members drawn from their posterior, at stations used and withheld."""
    generator, count = np.random.default_rng(seed), DAYS * stations
    truth = generator.normal(size=count)
    value = truth + error * generator.normal(size=count)
    gain = 1 / (1 + error**2)
    spread = np.sqrt(1 - gain) * np.ones(count)
    number = np.tile(np.arange(stations), DAYS)
    return pd.DataFrame(
        {
            "network": "thin", "analysis": "diffusion", "channel": "msl",
            "time": np.repeat(pd.date_range("2009-01-01", periods=DAYS), stations),
            "latitude": 40.0 + number, "longitude": 0.0, "level": np.nan,
            "platform": np.where(number % 2, "land", "ship"),
            "code": (number % 5 == 0).astype(int), "obs_error": error, "fg_depar": value,
            "an_depar": value - gain * value, "an_spread": spread, "crps": np.abs(value - gain * value),
            "station": np.char.add("S", number.astype(str)),
            "rank": generator.integers(0, MEMBERS + 1, count), "reference_depar": value - truth,
        }
    )  # fmt: skip


def sums(*tables, regions=None):
    worded = map(departures.with_use, tables)
    parts = [
        departures.frame_sums(part, PRODUCT) for one in worded for part in departures.by_region(one, regions or {})
    ]
    return pd.concat(parts).groupby([*departures.KEYS, "time"], sort=True).sum()


def of(found, **chosen):
    for name, value in ({"region": "everywhere", "platform": "all", "use": "used"} | chosen).items():
        found = found[found[name] == value]
    return found.iloc[0]


def test_scores_are_means_over_rows():
    whole = table()
    found = departures.summary(sums(whole), 0.95)
    used = whole[(whole["code"] == 0) & (whole["platform"] == "land")]
    row = of(found, platform="land")
    assert row["rows"] == len(used) and row["rmse"] == pytest.approx(np.sqrt((used["an_depar"] ** 2).mean()))
    assert row["bias"] == pytest.approx(used["an_depar"].mean()) and row["crps"] == pytest.approx(used["crps"].mean())
    assert row["reference_rmse"] == pytest.approx(np.sqrt((used["reference_depar"] ** 2).mean()))
    assert row["rmse_lower"] < row["rmse"] < row["rmse_upper"] and row["bias_lower"] < 0 < row["bias_upper"]
    assert of(found)["rows"] == (whole["code"] == 0).sum() and of(found, use="withheld")["rows"] == 6 * DAYS


def test_departures_tell_the_observation_error_of_an_optimal_analysis():
    """Desroziers' identity, E[(y - a)(y - b)] = R, holds where the gain is optimal."""
    row = of(departures.summary(sums(table(stations=100)), 0.95))
    assert row["observation_error"] == pytest.approx(0.5, rel=0.05)


def test_spread_and_skill_agree_where_the_value_is_independent():
    """Withheld values: their variance about the mean is that of a further member, and the observation error."""
    generator, whole = np.random.default_rng(1), table(stations=60)
    centre = generator.normal(size=(MEMBERS + 1, len(whole)))
    whole["an_depar"] = centre[0] + 0.5 * generator.normal(size=len(whole)) - centre[1:].mean(0)
    whole["an_spread"] = centre[1:].std(0, ddof=1)
    assert of(departures.summary(sums(whole), 0.95))["spread_skill"] == pytest.approx(1, abs=0.04)


def test_the_cut_into_shards_changes_nothing():
    whole = table()
    early = whole["time"] < "2009-02-01"
    parts = departures.summary(sums(whole[early], whole[~early]), 0.95)
    pd.testing.assert_frame_equal(parts, departures.summary(sums(whole), 0.95))


def test_rows_without_a_departure_are_counted_and_not_averaged():
    whole = table()
    whole.loc[whole.index % 3 == 0, ["an_depar", "an_spread", "crps"]] = np.nan
    rest = whole[(whole["code"] == 0) & whole["an_depar"].notna()]
    row = of(departures.summary(sums(whole), 0.95))
    assert row["rows"] == (whole["code"] == 0).sum()
    assert row["rmse"] == pytest.approx(np.sqrt((rest["an_depar"] ** 2).mean()))


def test_regions_and_months_have_their_own_numbers():
    regions = {"south": Region(south=30, north=49.5, west=-10, east=10)}
    found = departures.by_month(sums(table(), regions=regions))
    months = found[(found["region"] == "south") & (found["platform"] == "all") & (found["use"] == "used")]
    assert months["month"].tolist() == ["2009-01", "2009-02", "2009-03"] and months["rows"].tolist() == [
        8 * 31,
        8 * 28,
        8 * 31,
    ]


def test_what_is_on_levels_is_summarised_at_the_nearest_mandatory_level():
    """650 hPa is nearer to 700 in the logarithm, and 600 to 500 would be in pressure but 700 in its logarithm."""
    names = pd.Series(["t", "t", "t", "msl", "t", "z500"])
    level = np.array([512.0, 650.0, 599.0, np.nan, np.nan, 500.0])
    assert departures.with_level(names, level).tolist() == ["t 500 hPa", "t 700 hPa", "t 700 hPa", "msl", "t", "z500"]
    whole = table().assign(channel="u")
    whole["level"] = np.where(whole.index % 2, 850.0, 300.0)
    found = departures.summary(sums(whole), 0.95)
    assert set(found["channel"]) == {"u 300 hPa", "u 850 hPa"}
    at_300 = whole[(whole.index % 2 == 0) & (whole["code"] == 0)]
    assert of(found, channel="u 300 hPa")["rmse"] == pytest.approx(np.sqrt((at_300["an_depar"] ** 2).mean()))


def test_ranks_are_counted():
    whole = table()
    whole.loc[0, "rank"] = -1
    found = departures.rank_counts(next(departures.by_region(departures.with_use(whole), {})), PRODUCT)
    assert found.to_numpy().sum() == len(whole) - 1 and list(found) == [f"rank_{k}" for k in range(MEMBERS + 1)]


STARTS = np.datetime64("2009-01-01", "ns") + np.arange(45) * np.timedelta64(2, "D")


def test_stations_have_their_own_scores_and_places():
    whole = departures.with_use(table())
    halves = [departures.station_sums(part, PRODUCT, STARTS) for part in (whole[:1000], whole[1000:])]
    found = departures.by_station(pd.concat(halves)).set_index("station")
    mine = whole[whole["station"] == "S7"]
    assert found.loc["S7", "rows"] == DAYS and found.loc["S7", "latitude"] == pytest.approx(47)
    assert found.loc["S7", "rmse"] == pytest.approx(np.sqrt((mine["an_depar"] ** 2).mean()))
    assert (found["use"] == "withheld").sum() == 6


def test_series_of_a_station_are_those_of_its_rows_in_each_bin():
    whole = departures.with_use(table())
    sums = departures.station_sums(whole, PRODUCT, STARTS)
    other = departures.station_sums(whole.assign(analysis="optimal_interpolation"), PRODUCT, STARTS)
    found = departures.station_series(pd.concat([sums, other]), STARTS)
    mine = found[found["station"] == "S7"].reset_index(drop=True)
    rows = whole[(whole["station"] == "S7") & (whole["time"] >= "2009-01-05") & (whole["time"] < "2009-01-07")]
    assert len(mine) == 45 and mine["rows"].sum() == DAYS and str(mine["start"][2])[:10] == "2009-01-05"
    assert mine["bias"][2] == pytest.approx(rows["an_depar"].mean())
    assert mine["rmse"][2] == pytest.approx(np.sqrt((rows["an_depar"] ** 2).mean()))
    expected = np.sqrt((1 + 1 / MEMBERS) * rows["an_spread"] ** 2 + 0.25)
    assert mine["expected"][2] == pytest.approx(expected.iloc[0])


def test_bins_cover_the_period_and_are_at_most_sixty(tmp_path):
    """The times are read from the files' footers; a table without rows has none."""
    names = ["early", "late", "empty"]
    for name, part in zip(names, (table()[:600], table()[600:], table()[:0])):
        part.to_parquet(tmp_path / name)
    starts = departures.bin_starts([tmp_path / name for name in names])
    assert str(starts[0])[:13] == "2009-01-01T00" and np.ptp(np.diff(starts)) == 0
    assert len(starts) <= 60 and starts[-1] <= np.datetime64("2009-03-31") < starts[-1] + np.diff(starts)[0]
    assert len(departures.bin_starts([tmp_path / "empty"])) == 1


def test_sums_of_stations_do_not_grow_with_the_number_of_tables():
    whole = departures.with_use(table())
    held = []
    for number in range(20):
        held = departures.summed([*held, departures.station_sums(whole[number * 50 :][:50], PRODUCT, STARTS[:1])])
    assert sum(map(len, held)) <= 2 * 2 * 30
    found = departures.by_station(pd.concat(held)).set_index("station")
    assert found["rows"].sum() == 1000


def test_a_table_without_rows_adds_nothing():
    pd.testing.assert_frame_equal(
        departures.summary(sums(table(), table().iloc[:0]), 0.95), departures.summary(sums(table()), 0.95)
    )


def test_the_mean_of_antithetic_members_has_no_sampling_error_but_that_of_independent_ones_has():
    pairs = Ensemble(members=MEMBERS, antithetic=True)
    whole = table().assign(use="withheld")
    expected = lambda name, product: departures._terms(whole.assign(analysis=name), product)["expected"].sum()
    ours, lower = expected("diffusion", PRODUCT), expected("diffusion", pairs)
    assert lower < ours and expected("letkf", pairs) == ours == expected("letkf", PRODUCT)
