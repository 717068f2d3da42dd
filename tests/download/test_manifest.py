"""The integrity manifest: whether a source arrived whole."""

import json

import numpy as np
import pytest

from hindsight.download import manifest, part
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.settings import Download


def checked(source, domain, folder, **settings):
    """The manifest of a source that is one store."""
    store.write(source.assign_attrs(source_title="a source").chunk({"time": 50}), folder / "raw.zarr")
    return passed(domain, folder, [folder / "raw.zarr"], [], **settings)


def passed(domain, folder, raw, markers, **settings):
    manifest.run(domain, Download(**settings), raw=raw, markers=markers, manifest=folder / "manifest.json")
    return json.loads((folder / "manifest.json").read_text())


def parted(source, folder, source_says=None):
    """The same source in two parts with their markers."""
    raw, markers = [], []
    for name, part_of in (("a", source.isel(time=slice(0, 200))), ("b", source.isel(time=slice(200, None)))):
        raw.append(folder / f"{name}.zarr")
        markers.append(folder / f"{name}.json")
        part.write(part_of, raw[-1], markers[-1], {"part": name}, source_says or {})
    return raw, markers


def test_a_whole_source_passes_and_says_what_it_is(source, domain, tmp_path):
    found = checked(source, domain, tmp_path)
    assert (found["frames"], found["masked"], found["problems"], found["absent"]) == (425, [], [], [])
    assert found["variables"]["t"]["units"] == "degC"
    assert found["variables"]["z"]["highest"] == pytest.approx(float(source["z"].max()), rel=1e-6)
    assert found["parts"][0]["source"]["title"] == "a source" and len(found["parts"][0]["digest"]) == 64


def test_parts_are_judged_together(source, domain, tmp_path):
    raw, markers = parted(source, tmp_path, {"chunks_missing": ["z/0.0"], "url": "gs://a"})
    found = passed(domain, tmp_path, raw, markers)
    whole = checked(source, domain, tmp_path)
    assert found["variables"] == whole["variables"] and found["chunks_missing"] == ["z/0.0"]
    assert [one["frames"] for one in found["parts"]] == [200, 225]


def test_chunks_that_a_store_lacks_are_named_with_the_setting_that_says_what_they_are(source, domain, tmp_path):
    spoilt = source.assign(t=source.t.where(source.time != source.time[9]).assign_attrs(units="degC"))
    raw, markers = parted(spoilt, tmp_path, {"chunks_missing": ["t/1.0"], "chunks_filled": ["z/3.0"]})
    says = (
        r"NaN in 1 frame\(s\), at 2000-01-10T12:00:00; the store lacks 1 of its chunks \(t/1.0\).*absent_chunks: fill"
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
        (lambda s: s.assign(t=(s.t + 300).assign_attrs(units="degC")), "outside what channel t850 can be"),
        (lambda s: s.assign(t=s.t * np.nan).assign(t=lambda d: d.t.assign_attrs(units="degC")), "has no values at all"),
        (lambda s: s.isel(time=slice(0, 300)), "no frame from 2001-01-01"),
    ],
)
def test_what_is_wrong_with_a_source_is_said_in_words(source, domain, tmp_path, spoil, says):
    spoilt = spoil(source)
    if "z" in spoilt:
        spoilt["z"].attrs["units"] = "m**2 s**-2"
    with pytest.raises(UserError, match=says):
        checked(spoilt, domain, tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_everything_that_is_wrong_is_said_at_once_and_written_down(source, domain, tmp_path):
    spoilt = source.isel(time=[k for k in range(425) if k not in (7, 8)]).assign(t=source.t.assign_attrs(units="x"))
    with pytest.raises(UserError) as error:
        checked(spoilt, domain, tmp_path)
    for words in ("2000-01-08T12:00:00, 2000-01-09T12:00:00", "units 'x'", "download.missing"):
        assert words in str(error.value)
    refused = json.loads((tmp_path / "manifest.refused.json").read_text())
    assert len(refused["problems"]) == 2 and refused["absent"] == ["2000-01-08T12:00:00", "2000-01-09T12:00:00"]


def test_times_that_may_be_missing_are_masked_and_no_others(source, domain, tmp_path):
    spoilt = source.isel(time=[k for k in range(425) if k != 7]).assign(z=lambda d: d.z.where(d.time != source.time[9]))
    spoilt["z"].attrs["units"] = "m**2 s**-2"
    allowed = ["2000-01-08T12:00", {"start": "2000-01-09T00:00", "end": "2000-01-11T00:00"}]
    found = checked(spoilt, domain, tmp_path, missing=allowed)
    assert found["masked"] == ["2000-01-08T12:00:00", "2000-01-10T12:00:00"] and found["problems"] == []
    assert not (tmp_path / "manifest.refused.json").exists()
    with pytest.raises(UserError, match="a gap: no frame at 2000-01-08T12:00:00\n"):
        checked(spoilt, domain, tmp_path, missing=allowed[1:])


def test_a_level_that_no_channel_is_on_may_be_empty(source, domain, tmp_path):
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


def test_holes_between_splits_are_nobodys_business(source, domain, tmp_path):
    shorter = domain.model_validate(domain.model_dump() | {"validation": {"start": "2001-01-11", "end": "2001-01-31"}})
    spoilt = source.isel(time=[k for k in range(425) if k != 370])  # 2001-01-05
    assert checked(spoilt, shorter, tmp_path)["masked"] == []
    with pytest.raises(UserError, match="2001-01-05"):
        checked(spoilt, domain, tmp_path)


def test_preliminary_data_beside_final_ones_are_refused_unless_taken(source, domain, tmp_path):
    raw, markers = parted(source, tmp_path, {"provisional": ["2001-02-27T12:00:00", "2009-01-01T00:00:00"]})
    with pytest.raises(UserError, match=r"1 frame\(s\) are preliminary \(ERA5T\) from 2001-02-27"):
        passed(domain, tmp_path, raw, markers)
    found = passed(domain, tmp_path, raw, markers, provisional=True)
    assert found["provisional"] == ["2001-02-27T12:00:00", "2009-01-01T00:00:00"]


def test_a_source_of_shorter_steps_than_the_domain_is_thinned(source, domain, tmp_path):
    coarse = domain.model_validate(domain.model_dump() | {"step_hours": 48})
    found = checked(source, coarse, tmp_path)
    assert (found["frames"], found["step_hours"]) == (212, 48) and found["first"] == "2000-01-02T12:00:00"
