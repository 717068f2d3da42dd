"""The integrity manifest: whether a source is complete."""

import json

import numpy as np
import pytest
import xarray as xr

from hindsight.download import manifest, part
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.settings import Comparison, Download


def checked(source, domain, folder, **settings):
    """The manifest of a source that is one store."""
    store.write(source.assign_attrs(source_title="a source").chunk({"time": 50}), folder / "raw.zarr")
    return passed(domain, folder, [folder / "raw.zarr"], [], **settings)


def passed(domain, folder, raw, markers, against="truth", **settings):
    comparison = Comparison(against=against)
    manifest.run(domain, Download(**settings), comparison, raw=raw, markers=markers, manifest=folder / "manifest.json")
    return json.loads((folder / "manifest.json").read_text())


def parted(source, folder, source_says=None):
    """The same source in two parts with their markers."""
    raw, markers = [], []
    for name, part_of in (("a", source.isel(time=slice(0, 200))), ("b", source.isel(time=slice(200, None)))):
        raw.append(folder / f"{name}.zarr")
        markers.append(folder / f"{name}.json")
        part.write(part_of, raw[-1], markers[-1], {"part": name}, source_says or {})
    return raw, markers


def test_a_complete_source_passes_and_is_identified(source, domain, tmp_path):
    found = checked(source, domain, tmp_path)
    assert (found["frames"], found["masked"], found["problems"], found["missing"]) == (425, [], [], [])
    assert found["variables"]["t"]["units"] == "degC"
    assert found["variables"]["z"]["highest"] == pytest.approx(float(source["z"].max()), rel=1e-6)
    assert found["parts"][0]["source"]["title"] == "a source" and len(found["parts"][0]["digest"]) == 64


def test_parts_are_judged_together(source, domain, tmp_path):
    raw, markers = parted(source, tmp_path, {"chunks_missing": ["z/0.0"], "url": "gs://a"})
    found = passed(domain, tmp_path, raw, markers)
    whole = checked(source, domain, tmp_path)
    assert found["variables"] == whole["variables"] and found["chunks_missing"] == ["z/0.0"]
    assert [one["frames"] for one in found["parts"]] == [200, 225]


def test_missing_chunks_are_listed_with_the_setting_of_their_meaning(source, domain, tmp_path):
    spoilt = source.assign(t=source.t.where(source.time != source.time[9]).assign_attrs(units="degC"))
    raw, markers = parted(spoilt, tmp_path, {"chunks_missing": ["t/1.0"], "chunks_filled": ["z/3.0"]})
    says = (
        r"NaN in 1 frame\(s\), at 2000-01-10T12:00:00; the store lacks 1 of its chunks \(t/1.0\).*missing_chunks: fill"
    )
    with pytest.raises(UserError, match=says):
        passed(domain, tmp_path, raw, markers)
    found = passed(domain, tmp_path, raw, markers, missing=["2000-01-10T12:00"])
    assert (found["chunks_missing"], found["chunks_filled"]) == (["t/1.0"], ["z/3.0"])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda s: s.drop_vars("t"), "no variable for channel t850"),
        (lambda s: s.assign(t=s.t.assign_attrs(units="furlong")), "'t' has units 'furlong'"),
        (lambda s: s.isel(time=[0, 1, 3, *range(4, 425)]), "a gap: no frame at 2000-01-03T12:00:00"),
        (lambda s: s.isel(time=[0, 1, 1, *range(2, 425)]), "a repeated time, 2000-01-02"),
        (lambda s: s.isel(time=[0, 2, 1, *range(3, 425)]), "out of order: 2000-01-02T12:00 comes late"),
        (lambda s: s.assign(z=s.z.where(s.time != s.time[5])), "'z' has NaN in 1 frame.*2000-01-06"),
        (lambda s: s.assign(t=(s.t + 300).assign_attrs(units="degC")), "beyond the limits of channel t850"),
        (lambda s: s.assign(t=s.t * np.nan).assign(t=lambda d: d.t.assign_attrs(units="degC")), "has no values at all"),
        (lambda s: s.isel(time=slice(0, 300)), "no frame from 2001-01-01"),
    ],
)
def test_problems_of_a_source_are_described(source, domain, tmp_path, spoil, says):
    spoilt = spoil(source)
    if "z" in spoilt:
        spoilt["z"].attrs["units"] = "m**2 s**-2"
    with pytest.raises(UserError, match=says):
        checked(spoilt, domain, tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_all_problems_are_raised_together_and_written(source, domain, tmp_path):
    spoilt = source.isel(time=[k for k in range(425) if k not in (7, 8)]).assign(t=source.t.assign_attrs(units="x"))
    with pytest.raises(UserError) as error:
        checked(spoilt, domain, tmp_path)
    for words in ("2000-01-08T12:00:00, 2000-01-09T12:00:00", "units 'x'", "download.missing"):
        assert words in str(error.value)
    refused = json.loads((tmp_path / "manifest.refused.json").read_text())
    assert len(refused["problems"]) == 2 and refused["missing"] == ["2000-01-08T12:00:00", "2000-01-09T12:00:00"]


def test_times_that_may_be_missing_are_masked_and_no_others(source, domain, tmp_path):
    spoilt = source.isel(time=[k for k in range(425) if k != 7]).assign(z=lambda d: d.z.where(d.time != source.time[9]))
    spoilt["z"].attrs["units"] = "m**2 s**-2"
    allowed = ["2000-01-08T12:00", {"start": "2000-01-09T00:00", "end": "2000-01-11T00:00"}]
    found = checked(spoilt, domain, tmp_path, missing=allowed)
    assert found["masked"] == ["2000-01-08T12:00:00", "2000-01-10T12:00:00"] and found["problems"] == []
    assert not (tmp_path / "manifest.refused.json").exists()
    with pytest.raises(UserError, match="a gap: no frame at 2000-01-08T12:00:00\n"):
        checked(spoilt, domain, tmp_path, missing=allowed[1:])


def test_an_unused_level_may_be_empty(source, domain, tmp_path):
    levels = source.expand_dims(level=[500, 850]).copy()
    levels["z"], levels["t"] = levels["z"].where(levels["level"] == 500), levels["t"].where(levels["level"] == 850)
    for name in levels.data_vars:
        levels[name].attrs = source[name].attrs
    found = checked(levels.transpose("time", ...), domain, tmp_path)
    assert found["masked"] == [] and set(found["variables"]) == {"z", "t"}
    lowest = pytest.approx(float(source["t"].min()), rel=1e-6)
    assert (found["variables"]["t"]["lowest"], found["variables"]["t"]["units"]) == (lowest, "degC")
    other = domain.model_copy(update={"channels": ["z850", "t850"]})
    with pytest.raises(UserError, match="'z' has no values at all"):
        checked(levels.transpose("time", ...), other, tmp_path)


def test_missing_data_between_splits_are_ignored(source, domain, tmp_path):
    shorter = domain.model_validate(domain.model_dump() | {"validation": {"start": "2001-01-11", "end": "2001-01-31"}})
    spoilt = source.isel(time=[k for k in range(425) if k != 370])  # 2001-01-05
    assert checked(spoilt, shorter, tmp_path)["masked"] == []
    with pytest.raises(UserError, match="2001-01-05"):
        checked(spoilt, domain, tmp_path)


def test_a_test_period_without_fields_is_not_asked_of_the_source(source, domain, tmp_path):
    before = source.sel(time=slice(None, str(domain.validation.end)))
    found = checked(before, domain, tmp_path, against="none")
    assert found["frames"] < 425 and (found["missing"], found["last"][:10]) == ([], f"{domain.validation.end:%Y-%m-%d}")
    with pytest.raises(UserError, match=f"no frame from {domain.test.start:%Y-%m-%d}"):
        checked(before, domain, tmp_path)


def test_preliminary_data_beside_final_data_are_refused_unless_allowed(source, domain, tmp_path):
    raw, markers = parted(source, tmp_path, {"preliminary": ["2001-02-27T12:00:00", "2009-01-01T00:00:00"]})
    with pytest.raises(UserError, match=r"1 frame\(s\) are preliminary \(ERA5T\), the first 2001-02-27"):
        passed(domain, tmp_path, raw, markers)
    found = passed(domain, tmp_path, raw, markers, preliminary=True)
    assert found["preliminary"] == ["2001-02-27T12:00:00", "2009-01-01T00:00:00"]


def spoilt(source, name, first, last, change):
    """The source with some frames of a variable changed."""
    values = source[name].values.copy()
    values[first : last + 1] = change(values[first : last + 1], values[first - 1])
    return source.assign({name: (source[name].dims, values, source[name].attrs)})


ODD = {
    "constant": (lambda now, before: now * 0 + 54000, "is one number, 54000, over the whole field: 3 frames, "),
    "repeated": (lambda now, before: before, "repeats the frame before: 3 frames, "),
    "packing": (
        lambda now, before: np.minimum(now, np.median(now, (1, 2), keepdims=True)),
        "of its values at one number, ",
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_values_that_look_wrong_stop_the_run_with_time_and_place(source, domain, tmp_path, kind):
    change, says = ODD[kind]
    wrong = spoilt(source, "z", 99, 101, change)
    with pytest.raises(UserError, match=f"'z' .*{says}.*2000-04-09T12:00:00 to 2000-04-11T12:00:00\n.*accepted"):
        checked(wrong, domain, tmp_path)
    refused = json.loads((tmp_path / "manifest.refused.json").read_text())
    assert [(one["kind"], one["variable"], one["frames"]) for one in refused["suspect"]] == [(kind, "z", 3)]
    stretch = [{"start": "2000-04-09T12:00", "end": "2000-04-11T12:00"}]
    found = checked(wrong, domain, tmp_path, accepted=stretch)
    assert found["problems"] == [] == found["masked"] and len(found["notes"]) == 1
    found = checked(wrong, domain, tmp_path, missing=stretch)
    assert found["masked"] == [f"2000-04-{day:02d}T12:00:00" for day in (9, 10, 11)] and found["problems"] == []
    with pytest.raises(UserError, match="3 frames, 2000-04-09T12"):
        checked(wrong, domain, tmp_path, accepted=["2000-04-09T12:00"], missing=["2000-04-10T12:00"])


@pytest.mark.parametrize("frame", [198, 199, 200, 201])
def test_a_lone_frame_is_found_where_parts_meet(domain, tmp_path, frame):
    times = np.datetime64("2000-01-01T12", "ns") + np.arange(425) * np.timedelta64(1, "D")
    phase = np.add.outer(0.02 * np.arange(425), np.add.outer(np.arange(6.0), 0.7 * np.arange(8.0)))
    coords = {"time": times, "lat": np.linspace(50, 40, 6), "lon": np.linspace(-7, 7, 8)}
    dims = tuple(coords)
    smooth = {
        "z": (dims, 54000 + 900 * np.sin(phase), {"units": "m2 s-2"}),
        "t": (dims, 280 + np.cos(phase), {"units": "K"}),
    }
    source = xr.Dataset(smooth, coords)
    wrong = spoilt(source, "z", frame, frame, lambda now, before: now + 3000 * (np.arange(8) > 5))
    raw, markers = parted(wrong, tmp_path)
    with pytest.raises(UserError) as error:
        passed(domain, tmp_path, raw, markers)
    when = str(times[frame].astype("datetime64[s]"))
    assert "'z' departs from the frames before and after by up to 300" in str(error.value)
    assert f"within 40 N to 50 N, 5 E to 7 E: {when}" in str(error.value) and str(error.value).count("\n  ") == 1


def test_a_polar_row_of_constant_wind_components_stops_the_run(domain, tmp_path):
    times = np.datetime64("2000-01-01T12", "ns") + np.arange(425) * np.timedelta64(1, "D")
    coords = {"time": times, "lat": np.linspace(90, -90, 7), "lon": np.arange(0.0, 360, 30)}
    wind = np.random.default_rng(0).normal(0, 10, (425, 7, 12)).cumsum(2)
    wind[7:9, 0], wind[9:11, -1], wind[:, 3, :5] = 4.5, 0, 1
    source = xr.Dataset({"u": (tuple(coords), wind, {"units": "m s-1"})}, coords)
    chosen = domain.model_copy(update={"channels": ["u500"]})
    with pytest.raises(
        UserError, match=r"is constant along the row nearest the pole.*\(4.5\), at 90 N: 2 frames, 2000-01-08"
    ):
        checked(source.expand_dims(level=[500]).transpose("time", ...), chosen, tmp_path)


def test_a_property_of_most_frames_is_a_note(source, domain, tmp_path):
    found = checked(
        source.assign(z=source.z * 0 + 54000).assign(z=lambda s: s.z.assign_attrs(units="m2 s-2")), domain, tmp_path
    )
    assert found["problems"] == [] and found["notes"] == [
        "'z' is one number, 54000, over the whole field: 425 frames, 2000-01-01T12:00:00 to 2001-02-28T12:00:00"
    ]


def test_points_that_are_nan_in_all_frames_are_reported_as_points_and_not_as_times(source, domain, tmp_path):
    land = source.assign(t=source.t.where((source.lat > 45) | (source.lon < 0)).assign_attrs(units="degC"))
    with pytest.raises(UserError) as error:
        checked(land, domain, tmp_path)
    for words in (
        "'t' has NaN in all frames at the same 12 of 48 points, within 40 N to 44 N, 1 E to 7 E",
        "another region",
    ):
        assert words in str(error.value)
    assert "download.missing" not in str(error.value) and "accepted" not in str(error.value)
    more = land.assign(t=land.t.where(land.time != land.time[9]).assign_attrs(units="degC"))
    raw, markers = parted(more, tmp_path)
    with pytest.raises(
        UserError, match=r"(?s)NaN in 1 frame\(s\), at 2000-01-10.*at the same 12.*download.missing.*; choose another"
    ):
        passed(domain, tmp_path, raw, markers)
    lost = source.assign(
        t=source.t.where((source.time < source.time[200]) | (source.lon < 0)).assign_attrs(units="degC")
    )
    raw, markers = parted(lost, tmp_path)
    with pytest.raises(UserError, match=r"'t' has NaN in 225 frame\(s\)"):  # in the second part all frames are so
        passed(domain, tmp_path, raw, markers)


def test_a_source_of_shorter_steps_than_the_domain_is_thinned(source, domain, tmp_path):
    coarse = domain.model_validate(domain.model_dump() | {"step_hours": 48})
    found = checked(source, coarse, tmp_path)
    assert (found["frames"], found["step_hours"]) == (212, 48) and found["first"] == "2000-01-02T12:00:00"


def beyond_range(source):
    """A point that lacks a third of all frames, another that lacks every value, and one that lacks three frames."""
    hole = lambda row, column, frames: (
        (source.lat == source.lat[row]) & (source.lon == source.lon[column]) & source.time.isin(source.time[frames])
    )
    for where in (hole(0, 2, slice(0, 142)), hole(5, 7, slice(None)), hole(3, 3, [50, 51, 99])):
        source = source.assign(t=source.t.where(~where).assign_attrs(units="degC"))
    return source


def test_points_that_lack_values_are_masked_as_far_as_the_settings_say(source, domain, tmp_path):
    """The source is from the north: its row 5 is the first of the sorted ones, its row 0 the last."""
    spoilt = beyond_range(source)
    with pytest.raises(UserError, match="NaN in 142 frame"):
        checked(spoilt, domain, tmp_path)
    with pytest.raises(UserError, match=r"'t' has NaN in 3 frame\(s\), at 2000-02-20T12:00:00"):
        checked(spoilt, domain, tmp_path, missing_points=0.1)
    found = checked(spoilt, domain, tmp_path, missing_points=0.1, missing=["2000-02-20", "2000-02-21", "2000-04-09"])
    assert found["uncovered"] == {"points": 2, "of": 48, "runs": [[7, 1], [42, 1]]} and len(found["masked"]) == 3
    assert any("2 of 48 points lack values in more than 10% of the frames" in note for note in found["notes"])
    found = checked(spoilt, domain, tmp_path, missing_points=0.0)
    assert found["uncovered"]["points"] == 3 and found["masked"] == []


def test_parts_are_masked_together(source, domain, tmp_path):
    raw, markers = parted(beyond_range(source), tmp_path)
    found = passed(domain, tmp_path, raw, markers, missing_points=0.0)
    assert found["uncovered"]["points"] == 3 and found["masked"] == []
    raw, markers = parted(source, tmp_path)
    assert "uncovered" not in passed(domain, tmp_path, raw, markers, missing_points=0.0)


def test_a_source_of_which_no_point_is_covered_is_refused(source, domain, tmp_path):
    """Every point lacks values in turn."""
    turn = xr.DataArray(np.arange(425), dims="time") % 48 == xr.DataArray(
        np.arange(48).reshape(6, 8), dims=("lat", "lon")
    )
    spoilt = source.assign(t=source.t.where(~turn).assign_attrs(units="degC"))
    with pytest.raises(UserError, match="all points lack values in over 0% of the frames"):
        checked(spoilt, domain, tmp_path, missing_points=0.0)
