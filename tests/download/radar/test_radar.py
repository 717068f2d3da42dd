"""Source `radar`: from files to parts, with everything counted that is missing, limited or dry."""

import json

import numpy as np
import pytest
import xarray as xr

from hindsight.download import manifest
from hindsight.download.radar import composites, knmi, radar
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.fields.plane import Plane
from hindsight.settings import Comparison, Domain, Download
from tests.download.radar import radar_files

START = np.datetime64("2010-08-26T00:00")
FRAMES = 6


def time(number):
    return str(START + np.timedelta64(5 * number, "m"))


def pixels(number):
    return np.random.default_rng(number).integers(0, 300, (12, 10))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def files(folder):
    return [radar_files.knmi(folder / f"{k}.h5", pixels(k), time(k)) for k in range(FRAMES)]


def part(folder, name=f"20100826T00_{FRAMES}", channels=("rain",), step="5 min", **settings):
    """List the files of a folder and make a part of them: its store and its marker."""
    radar_settings = {"files": ["*"]} | settings
    chosen = Download.model_validate(
        {"source": "radar", "channels": channels, "step_hours": step, "radar": radar_settings, "minimum_free_gb": 0}
    )
    listed, raw, marker = (folder.parent / name for name in ("list.json", f"{name}.zarr/zarr.json", f"{name}.json"))
    composites.run(chosen, files=sorted(folder.iterdir()), composites=listed)
    radar.run(chosen, part=name, composites=listed, raw=raw, marker=marker)
    return store.read(raw).load(), json.loads(marker.read_text())


def test_frames_are_the_means_of_the_files_rates(folder, files):
    found, marker = part(folder, average=2)
    expected = np.array([np.where(pixels(k) * 0.12 < 0.1, 0, pixels(k) * 0.12) for k in range(FRAMES)])
    expected = expected.reshape(FRAMES, 6, 2, 5, 2).mean((2, 4))[:, ::-1]
    np.testing.assert_allclose(found["rain_rate"], expected, rtol=1e-6)
    assert found["rain_rate"].dims == ("time", "latitude", "longitude")
    assert found["rain_rate"].attrs["units"] == "mm h-1" and marker["source"]["notes"] == []
    assert found["time"].values[1] == np.datetime64("2010-08-26T00:05") and marker["source"]["files"] == FRAMES


def test_points_know_where_they_are(folder, files):
    found, _ = part(folder)
    plane = Plane.of(found.attrs)
    latitude, longitude = plane.places(Grid.of(found))
    np.testing.assert_allclose(found["true_latitude"], latitude)
    np.testing.assert_allclose(found["true_longitude"], longitude)
    layout = knmi.describe(files[0]).layout
    assert plane.x == layout.west + 5 and plane.y == layout.north - 6
    assert (np.diff(latitude[:, 0]) > 0).all() and abs(found["latitude"].values.sum()) < 1e-9


def test_frames_without_a_file_are_nan_and_noted(folder, files):
    for number in (2, 3):
        files[number].unlink()
    files[4].write_bytes(files[4].read_bytes()[:1500])
    found, marker = part(folder)
    gone = np.isnan(found["rain_rate"].values)
    assert gone.all((1, 2)).tolist() == [False, False, True, True, True, False] and gone.any((1, 2)).sum() == 3
    assert marker["source"]["times_missing"] == [f"2010-08-26T00:{m}:00" for m in (10, 15, 20)]
    left_out, missing = marker["source"]["notes"]
    assert left_out.startswith("1 file(s) are left out (4.h5: ")
    assert missing.startswith("no radar composite at 3 of 6 times (2010-08-26T00:10, ") and "are NaN" in missing


def test_a_file_whose_values_are_damaged_is_missing(folder, files, monkeypatch):
    read = knmi.values

    def values(path):
        if path == files[1]:
            raise knmi.Damaged("it is damaged inside")
        return read(path)[1:] if path == files[2] else read(path)

    monkeypatch.setattr(knmi, "values", values)
    found, marker = part(folder)
    assert np.isnan(found["rain_rate"].values).all((1, 2)).tolist() == [False, True, True, False, False, False]
    assert "1.h5: it is damaged inside" in marker["source"]["notes"][0]
    assert "2.h5: it has (11, 10) points" in marker["source"]["notes"][0]
    assert len(marker["source"]["times_missing"]) == 2


def test_a_wedge_without_data_that_grows_is_masked_and_counted(folder):
    for number in range(FRAMES):
        values = pixels(number)
        values[:1] = 65535
        values[:, : max(0, number - 2)] = 65535
        radar_files.knmi(folder / f"{number}.h5", values, time(number))
    found, marker = part(folder)
    assert np.isnan(found["rain_rate"].values).sum((1, 2)).tolist() == [10, 10, 10, 21, 32, 43]
    grown, largest = marker["source"]["notes"]
    assert grown.startswith("3 of 6 frames have no data at points where other frames have them, from 11 points to 33")
    assert "(at 2010-08-26T00:25); first at 2010-08-26T00:15" in grown
    assert "download.radar.rectangle: {rows: 11, columns: 7, top: 1, left: 3}" in largest
    cut, after = part(folder, rectangle={"rows": 11, "columns": 7, "top": 1, "left": 3})
    assert not np.isnan(cut["rain_rate"].values).any() and after["source"]["notes"] == []


def test_frames_that_are_all_dry_are_noted(folder):
    for number in range(FRAMES):
        radar_files.knmi(folder / f"{number}.h5", np.zeros((12, 10), int), time(number))
    found, marker = part(folder)
    assert (found["rain_rate"] == 0).all()
    assert marker["source"]["notes"] == [
        "there is no rain at any point of the 6 frames from 2010-08-26T00:00 to 2010-08-26T00:25"
    ]


def test_limited_reflectivities_are_counted(folder):
    for number in range(FRAMES):
        values = np.full((12, 10), 100)  # 18 dBZ
        values[3, 3] = 200 if number == 1 else 100  # 68 dBZ
        radar_files.odim(folder / f"{number}.h5", values, time(number))
    found, marker = part(folder)
    assert float(found["rain_rate"].max()) == pytest.approx((10**5.5 / 200) ** (1 / 1.6), rel=1e-5)
    assert marker["source"]["notes"] == ["1 reflectivities above download.radar.highest_dbz count as that"]


def test_a_coarser_step_takes_the_files_at_its_times(folder, files):
    found, marker = part(folder, "20100826T00_3", step="10 min")
    assert marker["source"]["files"] == 3 and not marker["source"]["times_missing"]
    np.testing.assert_allclose(found["rain_rate"][1], knmi.values(files[2])[::-1], rtol=1e-6, atol=0.1)


def test_a_part_is_made_again_only_if_its_files_or_settings_change(folder, files):
    part(folder)
    store_file = folder.parent / f"20100826T00_{FRAMES}.zarr/zarr.json"
    first = store_file.stat().st_mtime_ns
    part(folder)
    assert store_file.stat().st_mtime_ns == first
    radar_files.knmi(folder / "9.h5", pixels(9), time(9))  # of no frame of the part
    part(folder)
    assert store_file.stat().st_mtime_ns == first
    radar_files.knmi(files[0], pixels(9), time(0))
    part(folder)
    assert store_file.stat().st_mtime_ns > first
    second = store_file.stat().st_mtime_ns
    part(folder, dry_below=1.0)
    assert store_file.stat().st_mtime_ns > second


def test_blocks_do_not_change_the_bytes(folder, files, monkeypatch):
    whole, _ = part(folder)
    monkeypatch.setattr(radar.parts, "FRAMES", 2)
    again, _ = part(folder, "20100826T00_5")
    xr.testing.assert_identical(whole["rain_rate"][:5], again["rain_rate"])


def test_other_channels_are_refused(folder, files):
    with pytest.raises(UserError, match="make channel rain .* not t2m; change domain.channels"):
        part(folder, channels=("rain", "t2m"))


def checked(folder, **download):
    """The manifest of a part that a domain needs."""
    splits = {"train": (0, 2), "validation": (3, 3), "test": (4, 5)}
    periods = {name: {"start": time(first), "end": time(last)} for name, (first, last) in splits.items()}
    domain = Domain.model_validate({"channels": ["rain"], "step_hours": "5 min"} | periods)
    settings = Download.model_validate({"source": "radar", "radar": {"files": ["*"]}} | download)
    name = f"20100826T00_{FRAMES}"
    paths = {"raw": [folder.parent / f"{name}.zarr/zarr.json"], "markers": [folder.parent / f"{name}.json"]}
    manifest.run(domain, settings, Comparison(), **paths, manifest=folder.parent / "manifest.json")
    return json.loads((folder.parent / "manifest.json").read_text())


def test_the_manifest_stops_at_a_missing_frame_unless_it_may_be_missing(folder, files):
    files[1].unlink()
    part(folder)
    with pytest.raises(UserError, match="a gap: no frame at 2010-08-26T00:05:00"):
        checked(folder)
    found = checked(folder, missing=[time(1)])
    assert found["masked"] == ["2010-08-26T00:05:00"] and "no radar composite at 1 of 6" in found["notes"][0]


def test_the_manifest_names_a_rectangle_where_points_are_never_covered(folder, capsys):
    for number in range(FRAMES):
        values = pixels(number)
        values[:, :4] = 65535
        radar_files.knmi(folder / f"{number}.h5", values, time(number))
    part(folder)
    with pytest.raises(UserError, match="NaN in all frames at the same 48 of 120 points"):
        checked(folder)
    assert "download.radar.rectangle: {rows: 12, columns: 6, top: 0, left: 4}" in capsys.readouterr().err


def test_dry_frames_and_sudden_showers_do_not_stop_a_run(folder):
    for number in range(FRAMES):
        values = np.zeros((12, 10), int)
        values[5, 5] = 400 if number == 3 else 0
        radar_files.knmi(folder / f"{number}.h5", values, time(number))
    part(folder)
    assert checked(folder)["problems"] == []


def test_real_composites_of_two_networks(data, tmp_path):
    for name, frames in (("radar_knmi_20100826", 2), ("radar_fmi_20160928", 2)):
        (folder := tmp_path / name / "in").mkdir(parents=True)
        for path in sorted((data / name).iterdir())[:frames]:
            (folder / path.name).symlink_to(path)
        start = "20100826T00_2" if "knmi" in name else "20160928T1445_2"
        rectangle = {"rows": 64, "columns": 64, "top": 350 if "knmi" in name else 500}
        found, marker = part(folder, start, average=2, rectangle=rectangle)
        values = found["rain_rate"].values
        assert np.isfinite(values).all() and 0.05 < (values > 0.1).mean() < 0.99 and values.max() < 200
        latitude = found["true_latitude"].values
        assert (50 < latitude).all() and (latitude < (54 if "knmi" in name else 66)).all()
        assert not marker["source"]["times_missing"]
