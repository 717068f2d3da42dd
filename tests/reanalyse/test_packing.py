"""Bytes forecast from a sample against files that are then made."""

import json

import numpy as np
import pytest

from hindsight.archive import layout, write
from hindsight.fields import analyses, store
from hindsight.reanalyse import packing
from hindsight.settings import Archive, Domain, Observe, Product, Reanalyse
from tests.reanalyse import smooth

WHOLE, SAMPLE = 96, 32


@pytest.fixture(scope="module")
def fields():
    return smooth.fields(members=4, frames=WHOLE)


@pytest.fixture(scope="module")
def found(fields):
    return packing.sizes(fields[:, :SAMPLE], smooth.CHANNELS, smooth.GRID, Archive())


def test_an_analysis_has_the_bytes_that_were_forecast(fields, found, tmp_path):
    for members, frames in ((4, WHOLE), (2, 60)):
        path, part = tmp_path / f"{members}.nc", fields[:members, :frames]
        times = np.datetime64("2009-01-01", "ns") + np.arange(frames) * np.timedelta64(6, "h")
        analyses.write(part, list(range(members)), times, smooth.CHANNELS, smooth.GRID, {"seed": 1}, path)
        forecast = found.head + found.analysis * members * frames
        assert forecast == pytest.approx(path.stat().st_size, rel=0.03)


def test_the_archive_has_the_bytes_that_were_forecast(fields, found, tmp_path, monkeypatch):
    """An archive that is then laid out and written by its own steps, members in blocks of two."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    domain = Domain(channels=smooth.CHANNELS, step_hours=6, test=smooth.PERIOD)
    product, settings = Product(members=4, member_block=2, shard_frames=WHOLE), Archive(title="Smooth")
    paths = [smooth.write(fields, members, tmp_path) for members in ((0, 1), (2, 3))]
    archive, layout_marker, marker = (tmp_path / name for name in ("a.zarr", "layout.json", f"{smooth.SHARD}.json"))
    store.write(smooth.dataset(fields)["analysis"][0, :, 0].to_dataset(name="fields"), tmp_path / "fields.zarr")
    about = {"fields": tmp_path / "fields.zarr", "archive": archive, "marker": layout_marker}
    layout.run(domain, product, Reanalyse(), Observe(), settings, first_shard=paths, **about)
    write.run(domain, product, Observe(), layout=layout_marker, analyses=paths, archive=archive, marker=marker)
    objects = json.loads(marker.read_text())["objects"]
    members = sum((archive / name).stat().st_size for name in objects if not name.startswith(("mean", "spread")))
    others = sum((archive / name).stat().st_size for name in objects if name.startswith(("mean", "spread")))
    assert found.member * 4 * WHOLE == pytest.approx(members, rel=0.03)
    assert found.summary * WHOLE == pytest.approx(others, rel=0.03)
    assert len(objects) == (2 + packing.SUMMARIES) * 2


def test_the_difference_is_small_for_similar_halves_and_large_for_others(fields, found):
    assert found.difference < 0.02
    still = fields[:, :SAMPLE].copy()
    still[:, SAMPLE // 2 :] = still[:1, :1]
    assert packing.sizes(still, smooth.CHANNELS, smooth.GRID, Archive()).difference > 0.3
