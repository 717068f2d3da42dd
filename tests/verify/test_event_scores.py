"""Scores of events in verification: pooled over time and members they are those of counting everything at once."""

import numpy as np
import pytest
import xarray as xr

from hindsight.fields.grid import Grid
from hindsight.scores import events
from hindsight.settings import Domain, Verify
from hindsight.verify import event_scores

GRID = Grid(np.arange(-0.2, 0.21, 0.05), np.arange(-0.25, 0.26, 0.05))
TIMES = np.datetime64("2010-08-26", "ns") + np.arange(40) * np.timedelta64(5, "m")
DOMAIN = Domain(channels=["msl", "rain"], step_hours="5 min")
SETTINGS = Verify(events={"rain": [0.1, 1.0]}, scales=[1, 3])
GENERATOR = np.random.default_rng(8)


def frames(seed=0):
    """Four members and a truth, of pressure and of rain."""
    rain = np.maximum(np.random.default_rng(seed).normal(0, 1.5, (5, 40, 2, *GRID.shape)), 0)
    coords = {"time": TIMES, "channel": ["msl", "rain"], "latitude": GRID.latitude, "longitude": GRID.longitude}
    dims = ("time", "channel", "latitude", "longitude")
    return xr.Dataset({"analysis": (("realization", *dims), rain[1:]), "truth": (dims, rain[0])}, coords)


def both():
    found = [event_scores.statistics(frames(seed), SETTINGS, DOMAIN, GRID) for seed in (0, 1)]
    return xr.concat(found, xr.DataArray(["diffusion", "other"], dims="analysis", name="analysis"))


def test_scores_are_those_of_all_frames_at_once():
    found, one = event_scores.scores(both(), 0.95), frames(0).sel(channel="rain")
    weights = GRID.weights / GRID.weights.sum()
    for event, threshold in zip(found["event"].values, (0.1, 1.0)):
        forecast, seen = one["analysis"].values >= threshold, one["truth"].values >= threshold
        hits, either = ((what.mean((0, 1)) * weights).sum() for what in (forecast & seen, forecast | seen))
        here = found.sel(analysis="diffusion", event=event)
        assert float(here["csi_score"]) == pytest.approx(hits / either, rel=1e-12)
        for size in (1, 3):
            f, o = events.fractions(forecast.mean(0), size), events.fractions(seen, size)
            expected = 1 - (((f - o) ** 2).mean(0) * weights).sum() / ((f**2 + o**2).mean(0) * weights).sum()
            assert float(here["fss_score"].sel(size=size)) == pytest.approx(expected, rel=1e-12)
    assert (found["csi_lower"] < found["csi_score"]).all() and (found["fss_upper"] > found["fss_score"]).all()
    assert found["event"].values.tolist() == ["rain ≥ 0.1 mm h⁻¹", "rain ≥ 1 mm h⁻¹"]


def test_missing_frames_do_not_count():
    holed = both().isel(time=slice(0, 35)).reindex(time=TIMES)
    kept = both().isel(time=slice(0, 35))
    for name in ("csi_score", "fss_score"):
        np.testing.assert_allclose(event_scores.scores(holed, 0.95)[name], event_scores.scores(kept, 0.95)[name])


def test_a_square_without_edges_has_neighbours_across_them():
    around = DOMAIN.model_copy(update={"latitude_edges": "periodic", "longitude_edges": "periodic"})
    open_, closed = (event_scores.statistics(frames(), SETTINGS, domain, GRID) for domain in (DOMAIN, around))
    name = "event_fraction_squares"
    np.testing.assert_allclose(open_[name].sel(size=1), closed[name].sel(size=1))
    assert (closed[name].sel(size=3) > open_[name].sel(size=3)).all()


def test_without_events_there_is_nothing():
    empty = event_scores.statistics(frames(), Verify(), DOMAIN, GRID)
    assert not empty.data_vars and not event_scores.scores(empty, 0.95).data_vars
    assert event_scores.table(xr.Dataset()) is None


def test_the_table_has_a_row_for_each_network_event_and_analysis():
    found = event_scores.scores(both(), 0.95).expand_dims(network=["gauges"])
    section = event_scores.table(found)
    assert section["table"]["head"][3:] == ["CSI", "FSS, each point", "FSS, 3 × 3 points"]
    rows = section["table"]["rows"]
    assert len(rows) == 4 and rows[0][:3] == ["gauges", "rain ≥ 0.1 mm h⁻¹", "diffusion"]
    assert float(rows[0][3].split(" ")[0]) == pytest.approx(float(found["csi_score"][0, 0, 0]), abs=0.01)
    assert all("(" in cell for row in rows for cell in row[3:])
