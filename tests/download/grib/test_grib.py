"""Source `grib`: from files to parts, against what was written, and against cfgrib's own reading of real files."""

import json
import subprocess
import sys
from datetime import timedelta

import cfgrib
import numpy as np
import pytest
import xarray as xr

from hindsight.download.grib import catalogue, decode, grib
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.settings import Download
from tests.download.grib import grib_files
from tests.download.grib.grib_files import DAY, field, message

WITHIN = 60 * grib_files.PRECISION + 2e-5  # packing of fields that span 60, and float32 of 300


def part(folder, files, channels, name, step=6, member=None, **settings) -> xr.Dataset:
    """Catalogue files and make a part of them."""
    basic = {"channels": channels, "step_hours": step, "grib": {"files": ["*.grib"], "member": member}}
    chosen = Download.model_validate({"source": "grib", **basic, **settings})
    catalogue.run(chosen, files=sorted(files), catalogue=folder / "c.parquet")
    raw = folder / f"{name}.zarr/zarr.json"
    grib.run(chosen, part=name, catalogue=folder / "c.parquet", raw=raw, marker=folder / f"{name}.json")
    return store.read(raw).load()


def north_up(found: xr.DataArray) -> np.ndarray:
    return found.values[..., ::-1, :]


def hour(number: int):
    return DAY + timedelta(hours=number)


@pytest.mark.parametrize("edition", [1, 2])
def test_what_was_written_comes_back_from_many_files_of_mixed_kinds(edition, tmp_path):
    levels = {"t500": (130, 500), "t850": (130, 850), "z500": (129, 500), "t2m": (167, None), "msl": (151, None)}
    for number, (parameter, level) in enumerate(levels.values()):
        for k in range(5):
            keys = {"edition": edition, "parameter": parameter, "level": level, "time": hour(6 * k)}
            grib_files.file(tmp_path / f"{number}{k}.grib", message(field(10 * number + k), **keys))
    found = part(tmp_path, tmp_path.glob("*.grib"), list(levels), "20200101T00_5")
    for number, name in enumerate(levels):
        expected = np.array([field(10 * number + k) for k in range(5)])
        assert np.abs(north_up(found[name]) - expected).max() < WITHIN, name
    assert found["time"].values[-1] == np.datetime64(hour(24)) and found["t2m"].dims == (
        "time",
        "latitude",
        "longitude",
    )
    assert found["z500"].attrs["units"] == "m**2 s**-2" and found["t2m"].attrs["GRIB_shortName"] == "2t"


def test_missing_values_and_missing_messages_are_nan_and_the_marker_says_where(tmp_path):
    holed = field(1)
    holed[4, 7] = np.nan
    content = [message(holed, time=hour(0)), message(field(2), time=hour(12)), message(field(3), level=850)]
    found = part(tmp_path, [grib_files.file(tmp_path / "a.grib", *content)], ["t500"], "20200101T00_3")
    assert np.isnan(found["t500"]).sum(["latitude", "longitude"]).values.tolist() == [1, 19 * 36, 0]
    assert np.isnan(north_up(found["t500"])[0, 4, 7])
    marker = json.loads((tmp_path / "20200101T00_3.json").read_text())
    empty = part(tmp_path, [tmp_path / "a.grib"], ["t500"], "20200101T06_1")
    assert np.isnan(empty["t500"]).all() and empty["latitude"].equals(found["latitude"])
    assert marker["variables"]["t500"]["holes"] == ["2020-01-01T00:00:00", "2020-01-01T06:00:00"]


def test_members_and_the_control_are_told_apart(tmp_path):
    kinds = [("cf", 0), ("pf", 1), ("pf", 2)]
    content = [
        message(field(10 * member + k), edition=2, time=hour(6 * k), kind=kind, member=member)
        for k in range(2)
        for kind, member in kinds
    ]
    path = grib_files.file(tmp_path / "a.grib", *content)
    for setting, member in ((None, 0), (1, 1), (2, 2)):
        found = part(tmp_path, [path], ["t500"], "20200101T00_2", member=setting)
        assert np.abs(north_up(found["t500"])[1] - field(10 * member + 1)).max() < WITHIN


def rain(number: int) -> np.ndarray:
    """Of the hour that ends then (m)."""
    return np.abs(field(number, 0.002, 0.0))


@pytest.mark.parametrize("edition", [1, 2])
@pytest.mark.parametrize("since_start", [False, True])
def test_amounts_are_the_sums_of_their_hours(edition, since_start, tmp_path):
    content = []
    for k in range(1, 37):  # forecasts of 12 hours from 00 and 12
        start, step = 12 * ((k - 1) // 12), (k - 1) % 12 + 1
        steps = (0, step) if since_start else (step - 1, step)
        amount = sum(rain(start + j) for j in range(1 if since_start else step, step + 1))
        keys = {"parameter": 228, "level": None, "accumulated": True, "kind": "fc", "edition": edition}
        content.append(message(amount, time=hour(start), steps=steps, **keys))
    path = grib_files.file(tmp_path / "a.grib", *content)
    found = part(tmp_path, [path], ["tp1", "tp6", "tp24"], "20200101T00_7")
    for hours in (1, 6, 24):
        variable = found[f"tp{hours}"]
        assert variable.attrs["accumulated_hours"] == hours and variable.attrs["units"] == "m"
        for k, frame in enumerate(north_up(variable)):
            if 6 * k < hours:
                assert np.isnan(frame).all()
            else:
                expected = sum(rain(j) for j in range(6 * k - hours + 1, 6 * k + 1))
                assert np.abs(frame - expected).max() < 24 * 0.03 * grib_files.PRECISION + 1e-8


def test_final_data_come_before_preliminary_and_the_source_names_preliminary_times(tmp_path):
    content = [message(field(k), time=hour(6 * k), expver="0005") for k in range(4)]
    content += [message(field(10 + k), time=hour(6 * k), expver="0001") for k in range(2)]
    found = part(tmp_path, [grib_files.file(tmp_path / "a.grib", *content)], ["t500"], "20200101T00_4")
    for frame, seed in zip(north_up(found["t500"]), (10, 11, 2, 3)):
        assert np.abs(frame - field(seed)).max() < WITHIN
    marker = json.loads((tmp_path / "20200101T00_4.json").read_text())
    assert marker["source"]["preliminary"] == ["2020-01-01T12:00:00", "2020-01-01T18:00:00"]


def test_static_fields_are_included_if_they_are_on_the_grid(tmp_path):
    small = message(field(1)[:, :18], parameter=172, level=None)
    still = message(field(5), parameter=129, level=None, edition=2)
    path = grib_files.file(tmp_path / "a.grib", small, still, message(field(1)))
    found = part(tmp_path, [path], ["t500"], "20200101T00_1", south=30, north=60, west=-20, east=20)
    assert found["geopotential_at_surface"].dims == ("latitude", "longitude") and "land_sea_mask" not in found
    rows, columns = [6, 5, 4, 3], [34, 35, 0, 1, 2]
    for name, seed in (("geopotential_at_surface", 5), ("t500", 1)):
        values = found[name].values.reshape(4, 5)
        assert np.abs(values - field(seed)[np.ix_(rows, columns)]).max() < WITHIN


def test_a_part_that_is_kept_decodes_nothing_and_other_messages_are_decoded_anew(tmp_path, monkeypatch):
    content = [message(field(k), time=hour(6 * k)) for k in range(3)]
    path = grib_files.file(tmp_path / "a.grib", *content[:2])
    part(tmp_path, [path], ["t500"], "20200101T00_2")
    seen, values = [], decode.messages.values
    monkeypatch.setattr(decode.messages, "values", lambda *of: seen.append(of) or values(*of))
    before = (tmp_path / "20200101T00_2.json").read_text()
    (tmp_path / "20200101T00_2.json").unlink()
    grib_files.file(tmp_path / "b.grib", *content)  # the file grows, and has another name: nothing changes for the part
    part(tmp_path, [tmp_path / "b.grib"], ["t500"], "20200101T00_2")
    assert not seen and (tmp_path / "20200101T00_2.json").read_text() == before
    grib_files.file(path, content[0], message(field(9), time=hour(6)))
    found = part(tmp_path, [path], ["t500"], "20200101T00_2")
    assert len(seen) == 2 and np.abs(north_up(found["t500"])[1] - field(9)).max() < WITHIN


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: [grib_files.reduced_gaussian(time=0)], "its grid is reduced_gg, not regular"),
        (lambda: [message(field(1), level=None, parameter=167)], "no variable for channel t500 .*did you mean 2t"),
        (lambda: [message(field(1), level=300)], "'t', but not at level 500 hPa"),
        (
            lambda: [message(field(1), time=hour(-48))],
            "t500 from 2019-12-30 .* but part 20200101T00_2 runs from 2020-01-01T00:00 to",
        ),
        (lambda: [message(field(1)), message(field(1)[:, :18], time=hour(6))], "have the same grid, so regrid some"),
    ],
)
def test_unusable_input_is_refused_and_leaves_no_part(content, says, tmp_path):
    with pytest.raises(UserError, match=says):
        part(tmp_path, [grib_files.file(tmp_path / "a.grib", *content())], ["t500"], "20200101T00_2")
    assert not (tmp_path / "20200101T00_2.zarr").exists() and not (tmp_path / "20200101T00_2.json").exists()


def test_real_members_are_what_cfgrib_reads(data, tmp_path):
    path = data / "era5_ensemble_grib/era5-levels-members.grib"
    reference = cfgrib.open_dataset(str(path), indexpath="")
    for member in (None, 7):
        name = "20170101T00_4"
        found = part(tmp_path, [path], ["z500", "t850"], name, 12, member)
        for channel, level in (("z500", 500), ("t850", 850)):
            expected = reference[channel[0]].sel(number=member or 0, isobaricInhPa=level).values
            np.testing.assert_array_equal(north_up(found[channel]), expected)


def test_real_forecasts_are_what_cfgrib_reads(data, tmp_path):
    path = data / "era5_ensemble_grib/ERA5_levels.grib"
    reference = cfgrib.open_dataset(str(path), indexpath="")
    found = part(tmp_path, [path], ["t500", "ws500"], "20160207T06_2", 3, 1)
    for k in range(2):
        expected = reference.sel(number=1, isobaricInhPa=500).isel(time=0, step=k)
        for channel, name in (("t500", "t"), ("u500", "u"), ("v500", "v")):
            np.testing.assert_array_equal(north_up(found[channel])[k], expected[name].values)


def test_real_hours_are_what_cfgrib_reads(data, tmp_path):
    path = data / "era5_uk_t2m_grib/era5-2mt-2019-03-uk.grib"
    reference = cfgrib.open_dataset(str(path), indexpath="")["t2m"]
    found = part(tmp_path, [path], ["t2m"], "20190310T00_96", 3, south=52, north=55, west=-4, east=1)
    box = {"latitude": slice(55, 52), "longitude": slice(-4, 1)}
    expected = reference.sel(box).sel(time=found["time"].values)
    np.testing.assert_array_equal(north_up(found["t2m"]), expected.values)
    np.testing.assert_array_equal(found["longitude"], expected["longitude"])


def test_nothing_of_grib_is_loaded_before_it_is_needed():
    code = "import sys\nfrom hindsight.download.grib import catalogue, grib\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"cfgrib", "eccodes", "gribapi", "torch"} & set(loaded)
