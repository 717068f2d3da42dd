"""The fields of a page agree with the archive to within the stated rounding; memory does not grow with the years."""

import json
import tracemalloc

import numpy as np
import pytest
import xarray as xr

from hindsight.archive import excerpt
from hindsight.archive.excerpt import Packed, PageFields
from hindsight.archive.reduction import Reduction
from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.settings.verify import Comparison
from tests.archive import pages
from tests.archive.conftest import Small


def opened(small, against="reference"):
    layout = json.loads(small.layout.read_text())
    return PageFields.open(layout, small.archive, pages.reference(small), Comparison(against=against))


def expected(small, channel, kind):
    """A field as xarray reads it, (T, H, W)."""
    if kind == "reference":
        return xr.open_zarr(small.folder / "reference.zarr", consolidated=False)["fields"].sel(channel=channel).values
    group = None if kind == "member" else kind
    found = xr.open_zarr(small.archive, group=group)[channel].values
    return found[0] if kind == "member" else found


@pytest.mark.parametrize("reduction", [Reduction(), Reduction(stride=4), Reduction(stride=3, box=2, fine=0.2)])
def test_every_value_is_that_of_the_archive_to_half_a_step(small, reduction, monkeypatch):
    monkeypatch.setattr(excerpt, "BLOCK", 4)  # so that several blocks are joined
    page_fields = opened(small)
    content = {"channels": page_fields.packed(reduction, 10**9).channels()}
    content |= dict(zip(("latitude", "longitude"), reduction.edges(page_fields.grid)))
    for one in content["channels"]:
        most = reduction.fine * expected(small, one["name"], "spread")[:10].mean()
        assert len(one["fields"]["mean"]) > 1 and 0.2 * most < one["step"] <= most
        for kind in page_fields.kinds:
            values = reduction.means(expected(small, one["name"], kind)[:: reduction.stride], page_fields.grid)
            found = pages.field(content, one["name"], kind)
            np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
            assert np.nanmax(abs(found - values)) <= one["step"] / 2 * (1 + 1e-6)
            low, high = (0, one["spread"]) if kind == "spread" else one["range"]
            assert low <= np.nanmin(values) and np.nanmax(values) <= high


def test_the_reference_is_missing_where_it_has_no_frame(small):
    page_fields = opened(small)
    values = page_fields.values("z500", "reference", slice(0, 5, 1))
    assert np.isnan(values).all((1, 2)).tolist() == [frame == pages.MISSING_FRAME for frame in range(5)]
    assert page_fields.kinds["reference"] == "a toy"


@pytest.mark.parametrize(("against", "label"), [("truth", "truth"), ("none", None), ("reference", "a toy")])
def test_what_it_is_compared_with_has_its_name(small, against, label):
    assert opened(small, against).kinds.get("reference") == label


def test_a_page_that_would_become_too_large_is_given_up_before_the_end(small, monkeypatch):
    monkeypatch.setattr(excerpt, "BLOCK", 4)
    page_fields, read = opened(small), []
    before = PageFields.values
    monkeypatch.setattr(PageFields, "values", lambda *args: read.append(args[3].start) or before(*args))
    assert page_fields.packed(Reduction(), 100) is None and max(read) == 0
    assert page_fields.packed(Reduction(), 10**6) is not None and max(read) == 20


def test_another_grid_is_refused(small, tmp_path):
    fields = pages.reference(small)
    other = Small(tmp_path / "other", grid=Grid(small.grid.latitude + 1, small.grid.longitude))
    other.make()
    with pytest.raises(UserError, match="5 x 6 points from 41"):
        PageFields.open(json.loads(other.layout.read_text()), other.archive, fields, Comparison())


def test_memory_does_not_grow_with_the_years(tmp_path, monkeypatch):
    """Of an archive four times as long, as many frames are kept; what is packed would fill some kilobytes."""
    monkeypatch.setattr(excerpt, "BLOCK", 4)
    peaks = []
    for end, stride in (("2009-01-20T12:00", 1), ("2009-03-21T12:00", 4)):
        made = Small(tmp_path / end[:10], end=end, grid=Grid(np.arange(30.0, 60), np.arange(-30.0, 10)))
        made.make()
        page_fields = opened(made)
        Packed(page_fields, Reduction(stride)).add(slice(0, 4, stride), last=True)  # what is imported and opened once
        tracemalloc.start()
        page_fields.packed(Reduction(stride), 10**9)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
