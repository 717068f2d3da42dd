"""From a source's own names and grid to the pipeline's, and everything that can be wrong with a source."""

import json

import numpy as np
import pytest
import xarray as xr
import zarr

from hindsight.errors import UserError
from hindsight.fields import axes, coverage, intervals, store
from hindsight.fields.grid import Grid
from hindsight.preprocess import regrid
from hindsight.preprocess.regrid import canonical_fields
from hindsight.settings.domain import DomainWithoutPeriods
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.preprocess import Regrid

TIMES = np.arange("2000-01-01T12", "2001-03-01T12", 24, dtype="datetime64[h]").astype("datetime64[ns]")
SMALL = Regrid(chunk_frames=32, file_frames=64, piece_frames=128)


@pytest.fixture
def domain():
    return DomainWithoutPeriods(channels=["z500", "t850"])


@pytest.fixture
def source(source):
    """The source with names that say their levels."""
    return source.rename(z="z500", t="t850")


def test_names_units_and_order_are_canonical(source, domain):
    found = canonical_fields(source, domain, SMALL, TIMES, "x")["fields"]
    assert found.dims == ("time", "channel", "latitude", "longitude") and found.dtype == np.float32
    assert (np.diff(found["latitude"]) > 0).all()
    np.testing.assert_allclose(found.sel(channel="t850").values, source["t850"].values[:, ::-1] + 273.15, rtol=1e-6)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda s: s.drop_vars("t850"), "no variable for channel t850"),
        (lambda s: s.assign(t850=s.t850.assign_attrs(units="furlong")), "units 'furlong'"),
        (lambda s: s.assign_coords(lat=[50, 48, 46, 44, 42, 39.0]), "latitude is not regular"),
        (lambda s: s.rename(lat="rows"), "no coordinate latitude"),
    ],
)
def test_errors_of_a_source_are_explained(source, domain, spoil, says):
    with pytest.raises(UserError, match=says):
        canonical_fields(spoil(source), domain, SMALL, TIMES, "x")


def test_a_level_is_selected_where_there_are_levels(source, domain):
    levels = source.expand_dims(isobaricInhPa=[850, 500]).copy()
    levels["z500"] = levels["z500"] + 10 * (levels["isobaricInhPa"] == 500)
    found = canonical_fields(levels, domain, SMALL, TIMES, "x")["fields"].sel(channel="z500")
    np.testing.assert_allclose(found.values, source["z500"].values[:, ::-1] + 10, rtol=1e-6)
    with pytest.raises(UserError, match="no level 500 hPa"):
        canonical_fields(levels.sel(isobaricInhPa=[850]), domain, SMALL, TIMES, "x")


def test_a_region_is_cut_out_also_across_greenwich(source, domain):
    turned = source.assign_coords(lon=source["lon"] % 360)
    turned = turned.sortby("lon")
    whole, again = (canonical_fields(s, domain, SMALL, TIMES, "x")["fields"] for s in (source, turned))
    np.testing.assert_array_equal(whole.values, again.values)
    part = canonical_fields(source, domain.model_copy(update={"west": -4.0, "east": 4.0}), SMALL, TIMES, "x")
    assert part["longitude"].min() >= -4 and part["longitude"].max() <= 4
    for accident in ({"south": 80.0}, {"south": 47.0, "north": 49.0}, {"west": 6.0}):
        with pytest.raises(UserError, match="fewer than 2 points"):
            canonical_fields(source, domain.model_copy(update=accident), SMALL, TIMES, "x")


def test_a_source_of_one_latitude_passes_and_a_source_of_one_point_does_not(source, domain):
    line = source.isel(lat=[2])
    found = canonical_fields(line, domain, SMALL, TIMES, "x")["fields"]
    np.testing.assert_allclose(found.sel(channel="z500")[:, 0], source["z500"][:, 2], rtol=1e-6)
    assert canonical_fields(source.isel(lon=[2]), domain, SMALL, TIMES, "x")["fields"].shape[2:] == (6, 1)
    for spoilt, region in ((line.isel(lon=[0]), {}), (line, {"south": 60.0}), (line, {"west": 6.0})):
        with pytest.raises(UserError, match="fewer than 2 points"):
            canonical_fields(spoilt, domain.model_copy(update=region), SMALL, TIMES, "x")


def globe(generator):
    """Two frames of 121 x 240 points from the north pole, as WeatherBench 2 has them."""
    latitude, longitude = np.linspace(90, -90, 121), np.arange(0, 360, 1.5)
    values = 54000 + 100 * generator.standard_normal((2, 121, 240))
    coords = {"time": TIMES[:2], "latitude": latitude, "longitude": longitude}
    return xr.Dataset({"z500": (("time", "latitude", "longitude"), values, {"units": "m2 s-2"})}, coords=coords)


def test_a_coarser_grid_keeps_the_mean_over_the_globe():
    raw, domain = globe(np.random.default_rng(1)), DomainWithoutPeriods(channels=["z500"])
    coarse = Regrid(spacing=5.625)
    found = canonical_fields(raw.chunk({"time": 1}), domain, coarse, TIMES[:2], "x")["fields"].load()
    assert found.shape == (2, 1, 32, 64) and found["latitude"].values[0] == -87.1875
    weights = [Grid.of(d).weights for d in (raw.sortby("latitude"), found)]
    before, after = (
        (raw["z500"].values[:, ::-1] * weights[0]).mean((1, 2)),
        (found.values[:, 0] * weights[1]).mean((1, 2)),
    )
    np.testing.assert_allclose(after, before, rtol=1e-6)


def test_a_region_of_a_working_grid_lies_across_the_date_line():
    raw = globe(np.random.default_rng(1))
    over = DomainWithoutPeriods(channels=["z500"], south=20, north=60, west=170, east=-150)
    found = canonical_fields(raw, over, Regrid(spacing=5.0, method="bilinear", poles=True), TIMES[:2], "x")["fields"]
    np.testing.assert_array_equal(found["longitude"], np.arange(170, 211, 5))
    there = raw["z500"].interp(latitude=found["latitude"].values, longitude=found["longitude"].values)
    np.testing.assert_allclose(found.values[:, 0], there.values, rtol=1e-6)


def written(source, domain, folder, piece="20000101T12_128", masked=(), scheduler="threads"):
    """Run the step on a source; the store it made."""
    folder.mkdir(exist_ok=True)
    store.write(source.chunk({"time": 50}), folder / "raw.zarr")
    (folder / "manifest.json").write_text(json.dumps({"masked": list(masked)}))
    regrid.run(
        domain,
        SMALL,
        piece=piece,
        raw=[folder / "raw.zarr"],
        manifest=folder / "manifest.json",
        scheduler=scheduler,
        workers="2",
        fields=folder / f"{piece}.zarr",
    )
    return folder / f"{piece}.zarr"


def test_a_piece_has_the_same_files_with_every_scheduler(source, domain, tmp_path):
    one = written(source, domain, tmp_path / "a")
    found = store.read(one)
    np.testing.assert_array_equal(found["time"], intervals.parse("20000101T12_128", 24).times)
    expected = canonical_fields(source, domain, SMALL, found["time"].values, "x")["fields"]
    np.testing.assert_array_equal(found["fields"].values, expected.values)
    array = zarr.open_group(one)["fields"]
    assert array.shards == (64, 2, 6, 8) and array.chunks == (32, 2, 6, 8) and bool(found["available"].all())
    two = written(source, domain, tmp_path / "b", scheduler="synchronous")
    assert store.read(two).attrs["digest"] == found.attrs["digest"]


def test_a_masked_frame_is_nan_in_all_channels_and_not_available(source, domain, tmp_path):
    spoilt = source.assign(t850=source["t850"].where(source["time"] != source["time"][3]))
    found = store.read(written(spoilt, domain, tmp_path, masked=["2000-01-04T12:00:00"]))
    holes = found["fields"].isnull().all(["channel", "latitude", "longitude"]).values
    np.testing.assert_array_equal(np.flatnonzero(holes), [3])
    np.testing.assert_array_equal(np.flatnonzero(~found["available"].values), [3])
    assert bool(found["fields"].isel(time=[2, 4]).notnull().all())


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda s: s.assign(z500=s.z500.where(s.time != s.time[5])), "z500 has NaN in 1 frame.*2000-01-06"),
        (lambda s: s.isel(time=[k for k in range(425) if k != 7]), "z500 has NaN in 1 frame.*2000-01-08"),
        (lambda s: s.assign(t850=s.t850 + 300), "outside its physical range"),
    ],
)
def test_nan_and_unphysical_values_raise_an_error_and_leave_no_store(source, domain, tmp_path, spoil, says):
    source = source.assign(t850=source["t850"].assign_attrs(units="degC"))
    spoilt = spoil(source).map(lambda v: v.assign_attrs(source[v.name].attrs))
    with pytest.raises(UserError, match=says):
        written(spoilt, domain, tmp_path)
    assert not (tmp_path / "20000101T12_128.zarr").exists()


def test_files_are_halved_until_the_memory_holds_one_but_never_below_a_chunk():
    tight = Regrid(chunk_frames=8, file_frames=64, piece_frames=64, file_mb=1.0)
    frames = {size: regrid.file_frames((1, size, 1), tight) for size in (10, 4000, 7000, 16000, 10**6)}
    assert frames == {10: 64, 4000: 32, 7000: 32, 16000: 8, 10**6: 8}


def test_frames_between_the_periods_are_not_available_and_no_error(source, tmp_path):
    """Two parts of a source, with days between them that nobody has asked for."""
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"masked": []}')
    stores = [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    for path, days in zip(stores, (slice(0, 20), slice(30, 64))):
        store.write(source.isel(time=days), path)
    domain = DomainWithoutPeriods(channels=["z500"])
    out = tmp_path / "piece.zarr"
    paths = {"raw": stores, "manifest": manifest, "fields": out}
    regrid.run(domain, Regrid(), piece="20000101T12_64", scheduler="synchronous", workers="1", **paths)
    known = store.read(out)["available"].values
    np.testing.assert_array_equal(np.flatnonzero(~known), np.arange(20, 30))
    assert np.isnan(store.read(out)["fields"].values[20:30]).all()


def test_points_that_are_not_covered_have_one_value_in_all_frames_and_missing_frames_stay_missing(source, domain):
    """The value is 0 where that is possible, and else the nearest possible one."""
    source = source.where(source.time != source.time[9])
    for name, units in (("z500", "m**2 s**-2"), ("t850", "degC")):
        source[name].attrs["units"] = units
    whole = canonical_fields(source, domain, SMALL, TIMES, "x")["fields"]
    spoilt = source.where(~((source.lat == source.lat[0]) & (source.lon == source.lon[2])))
    for name in ("z500", "t850"):
        spoilt[name].attrs = source[name].attrs
    covered = np.ones((6, 8), bool)
    covered[5, 2] = False
    marked = coverage.marked(axes.standardise(spoilt, "x"), coverage.encode(covered), "x")
    dataset = canonical_fields(marked, domain, SMALL, TIMES, "x")
    found = dataset["fields"]
    np.testing.assert_array_equal(Grid.of(dataset).covered, covered)
    np.testing.assert_array_equal(found.values[..., covered], whole.values[..., covered])
    assert np.isnan(found.values[9]).all() and not np.isnan(np.delete(found.values, 9, 0)).any()
    for channel, values in zip(domain.channels, np.delete(found.values, 9, 0)[:, :, 5, 2].T):
        assert (values == max(0.0, CHANNELS[channel].lowest)).all()
    part = canonical_fields(marked, domain.model_copy(update={"west": -4.0, "east": 4.0}), SMALL, TIMES, "x")
    assert (~Grid.of(part).covered).sum() == 1 and Grid.of(part).covered.shape == part["fields"].shape[2:]
