"""The check of the archive finds suspect values, with variable, member, time and place; of ten clean years none."""

import json
import tracemalloc

import numpy as np
import pytest
import scipy.fft
import zarr

from hindsight.archive import suspect
from hindsight.archive.suspect import SuspectSearch
from hindsight.errors import UserError
from hindsight.fields import rounding
from hindsight.settings import Domain, Product
from tests.archive.conftest import Small


def spoilt(folder, change, member=3, **settings):
    """An archive one member of which is changed in its second shard, of ten frames."""
    made = Small(folder, "2009-02-05T12:00", archive_settings={"title": "Small", "chunk_frames": 5} | settings)
    values, number = made.values, made.cuts[1].name

    def changed(shard, of):
        found = values(shard, of)
        if shard.name == number and of == member:
            change(found[:, 0])
        return found

    made.values = changed
    return made


def frozen(z500):
    z500[3:6] = z500[2]


def constant(z500):
    z500[3:6] = 54000


@pytest.mark.parametrize(("change", "says"), [(frozen, "repeats the frame before"), (constant, "is one number, 54000")])
def test_suspect_values_are_refused_with_member_and_time_unless_accepted(tmp_path, monkeypatch, change, says):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    made = spoilt(tmp_path / "a", change)
    with pytest.raises(UserError) as error:
        made.make()
    lines = [line for line in str(error.value).split("\n") if line.startswith("  ")]
    assert len(lines) == 1 and f"'z500' at member 3 {says}" in lines[0] and "archive.accepted" in str(error.value)
    assert lines[0].endswith("3 frames, 2009-01-14T12:00:00 to 2009-01-16T12:00:00")
    made.archive_settings["accepted"] = [{"start": "2009-01-14", "end": "2009-01-16"}]
    made.check()
    [found] = json.loads(made.result.read_text())["suspect"]
    assert (found["variable"], found["level"], found["frames"]) == ("z500", "member 3", 3)
    made.archive_settings["accepted"] = [{"start": "2009-01-15", "end": "2009-01-16"}]
    with pytest.raises(UserError, match="has suspect values"):
        made.check()


def test_a_suspect_mean_is_found(tmp_path):
    def jumps(z500):
        z500[5, :, :2] += 40 * np.ptp(z500)

    made = spoilt(tmp_path, jumps)
    with pytest.raises(UserError, match="'mean/z500' (departs|jumps).*, within 40 N to 44 N, 3 W to 2 W: "):
        made.make()


def test_a_jump_at_the_beginning_of_a_shard_is_not_suspect(tmp_path, monkeypatch):
    def another(z500):
        z500 += 40 * np.ptp(z500)

    spoilt(tmp_path / "a", another).make()
    monkeypatch.setattr(suspect.scan, "_begins", lambda seen, joints: np.arange(len(seen.times)) == 0)
    with pytest.raises(UserError, match="at member 3 jumps"):
        spoilt(tmp_path / "b", another).make()


SHAPE, DAYS, FRAMES = (12, 24), 3653, 73  # of a shard
LATITUDE = -90 + (np.arange(12) + 0.5) * 15


@pytest.fixture(scope="module")
def decade():
    """Ten years of daily wind: smooth, an autoregression in time, stronger in winter, rounded as an archive is."""
    generator = np.random.default_rng(0)
    wave = np.add.outer(scipy.fft.fftfreq(12, 1 / 12) ** 2, scipy.fft.fftfreq(24, 1 / 24) ** 2)
    white = scipy.fft.fft2(generator.standard_normal((DAYS, *SHAPE))) * np.exp(-wave / 18)
    wind = scipy.fft.ifft2(white).real
    wind /= wind.std()
    for day in range(1, DAYS):
        wind[day] = 0.9 * wind[day - 1] + np.sqrt(1 - 0.9**2) * wind[day]
    season = 1 + 0.3 * np.cos(2 * np.pi * np.arange(DAYS) / 365.25)
    return rounding.round_to((10 + 6 * season[:, None, None] * wind).astype("float32"), 9)


def searched(folder, values):
    """What the search finds in an archive whose mean of a wind has these values, shard by shard."""
    group = zarr.create_group(folder / "archive", overwrite=True)
    for name, axis in (("latitude", LATITUDE), ("longitude", np.arange(24) * 15.0)):
        group.create_array(name, data=axis)
    group.create_array("mean/u500", data=values, chunks=(FRAMES, *SHAPE))
    last = np.datetime64("2000-01-01") + len(values) - 1
    domain = Domain(channels=["u500"], step_hours=24, train={"start": "1990-01-01", "end": "1990-12-31"},
                    validation={"start": "1991-01-01", "end": "1991-12-31"},
                    test={"start": "2000-01-01T00:00", "end": f"{last}T00:00"})  # fmt: skip
    search = SuspectSearch(folder / "archive", domain, Product(shard_frames=FRAMES))
    for first in range(0, len(values), FRAMES):
        search.add("mean/u500", slice(0, 1), first, values[first : first + FRAMES])
    return search.results()


@pytest.mark.parametrize("window", [8192, 700])
def test_ten_clean_years_have_no_suspect_value(tmp_path, monkeypatch, decade, window):
    monkeypatch.setattr(suspect, "WINDOW", window)
    assert searched(tmp_path, decade) == []


def lone(values, at):
    values[at] += 60


def still(values, at):
    values[at : at + 5, 3:8, 3:12] = values[at - 1, 3:8, 3:12]


def pole(values, at):
    values[at : at + 5, -1] = values[at, -1, 0]


def burst(values, at):
    values[at : at + 5] = np.round(values[at : at + 5] / 4) * 4


@pytest.mark.parametrize(("plant", "kind", "frames"), [
    (lone, "outlier", 1), (still, "stuck", 5), (pole, "polar", 5), (burst, "packing", 5)])  # fmt: skip
@pytest.mark.parametrize("at", [1000, 731, 3600])  # windows have 730 frames
def test_planted_errors_are_found_in_any_window(tmp_path, monkeypatch, decade, plant, kind, frames, at):
    monkeypatch.setattr(suspect, "WINDOW", 700)
    values = decade.copy()
    plant(values, at)
    found = [one for one in searched(tmp_path, values) if one["kind"] == kind]
    assert sum(one["frames"] for one in found) == frames and all(one["fatal"] for one in found)
    assert min(one["first"] for one in found)[:10] == str(np.datetime64("2000-01-01") + at)


def test_memory_does_not_grow_with_the_years(tmp_path, monkeypatch, decade):
    monkeypatch.setattr(suspect, "WINDOW", 300)
    peaks = []
    for days in (365, 730, 3650):
        group, values = tmp_path / str(days), decade[:days]
        add, most = SuspectSearch.add, []

        def adding(*given, add=add, most=most):
            add(*given)
            most.append(tracemalloc.get_traced_memory()[0])

        monkeypatch.setattr(SuspectSearch, "add", adding)
        tracemalloc.start()
        searched(group, values)
        tracemalloc.stop()
        monkeypatch.setattr(SuspectSearch, "add", add)
        peaks.append(max(most) - min(most))
    assert peaks[2] < 1.2 * peaks[1], peaks
