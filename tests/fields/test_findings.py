"""What a scan has found, in words that say what, when and where."""

import numpy as np
import pytest

from hindsight.fields import findings, scan

TIMES = np.datetime64("2000-01-01", "ns") + np.arange(40) * np.timedelta64(6, "h")
LATITUDE, LONGITUDE = np.linspace(-87.5, 87.5, 36), np.arange(0.0, 360, 5)


def said(change, standard_name="eastward_wind"):
    """The sentences on smooth fields of two levels, the second of which is changed."""
    wave = np.add.outer(3 * np.deg2rad(LATITUDE), np.deg2rad(LONGITUDE))
    noise = np.random.default_rng(0).normal(0, 0.01, (40, 1, 36, 72))
    values = 10 * np.sin(np.add.outer(0.2 * np.arange(40), wave))[:, None] + noise
    values = values.repeat(2, 1).astype("float32")
    change(values[:, 1])
    summary = scan.summarise(values, TIMES, LATITUDE, 355.0)
    fields = lambda time: values[np.flatnonzero(TIMES == time)[0]]
    found = findings.describe(
        scan.detect(summary), summary, fields, ["500 hPa", "850 hPa"], (LATITUDE, LONGITUDE), standard_name
    )
    return [findings.sentence("u", one) for one in found]


def box(values, frames, change):
    """Change a region, 2.5 to 42.5 N, 170 E to 140 W."""
    region = values[frames, 18:27, 34:45]
    region[...] = change(region)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda u: u[9:12].fill(2.5), "is one number, 2.5, over the whole field: 3 frames, "),
        (lambda u: u.__setitem__(slice(9, 12), u[8]), "repeats the frame before: 3 frames, "),
        (
            lambda u: u[9:12, 0].fill(2.5),
            "is constant along the row nearest the pole, where a vector component must change with longitude (2.5), "
            "at 87.5 S: 3 frames, ",
        ),
        (
            lambda u: box(u, slice(9, 10), lambda x: x + 90),
            "within 2.5 N to 42.5 N, 170 E to 140 W: ",
        ),
        (
            lambda u: u[9:12, 18:27].fill(2.5),
            "has 25% of its values at one number, 2.5, within 2.5 N to 42.5 N, 0 E to 5 W: 3 frames, ",
        ),
    ],
)
def test_findings_are_described_with_level_time_and_place(change, says):
    [sentence] = said(change)
    until = " to 2000-01-03T18:00:00" if "frames, " in says else ""
    assert sentence.startswith("'u' at 850 hPa ") and sentence.endswith(f"{says}2000-01-03T06:00:00{until}")


def test_quantities_at_a_bound_are_no_fault():
    assert said(lambda u: u[9:12].fill(0), "relative_humidity") == []
    assert len(said(lambda u: u[9:12].fill(0))) == len(said(lambda u: u[9:12].fill(50), "relative_humidity")) == 1


def test_a_region_across_greenwich_begins_after_the_widest_gap():
    latitude, longitude = np.arange(-10, 11, 5.0), np.arange(0, 360, 5.0)
    where = np.zeros((5, 72), bool)
    where[2, [71, 0, 1]] = True
    assert findings.box(where, (latitude, longitude)) == "within 0 N to 0 N, 5 W to 5 E"
