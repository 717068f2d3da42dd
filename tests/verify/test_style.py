"""How numbers, places and units are written, and how figures become pictures."""

import base64
import io
from typing import get_args

import numpy as np
import pytest

from hindsight.settings.baselines import Method
from hindsight.verify import style


@pytest.mark.parametrize(
    ("value", "text"), [(-20.0, "20°W"), (350.0, "10°W"), (14.5, "14.5°E"), (360.0, "0°"), (180.0, "180°")]
)
def test_format_of_longitudes(value, text):
    assert style.format_longitude(value) == text


def test_format_of_places_times_and_labels():
    assert style.format_place(-30.04, 200.0) == "30°S, 160°W"
    assert style.format_time(np.datetime64("2009-01-02T12:00", "ns")) == "2009-01-02 12 UTC"
    assert style.label("z500") == "z500 (m² s⁻²)" and style.label("z500", squared=True) == "z500, (m² s⁻²)²"
    assert style.readable("optimal_interpolation") == "optimal interpolation"
    names = [style.readable(name) for name in ("three_d_var", "four_d_var", "letkf", "ensf")]
    assert names == ["3D-Var", "4D-Var", "LETKF", "EnSF"]
    assert style.label("x") == "x" and style.label("x", squared=True) == "x²"


def test_every_analysis_has_a_colour_of_its_own():
    names = ["diffusion", *get_args(Method)]
    assert len({style.colour(name) for name in names}) == len(names)
    assert style.colour("another") not in {style.colour(name) for name in names}


def test_many_channels_are_wrapped_onto_rows_of_their_network():
    figure, axes = style.panels(2, 6, 1.0)
    assert axes.shape == (2, 6) and len(figure.axes) == 12
    tops = np.array([[axis.get_subplotspec().rowspan.start for axis in row] for row in axes])
    assert tops.tolist() == [[0, 0, 0, 0, 1, 1], [2, 2, 2, 2, 3, 3]]
    style.plt.close(figure)


def test_networks_of_one_channel_stand_beside_each_other():
    figure, axes = style.panels(3, 1, 1.0)
    assert axes.shape == (3, 1) and len(figure.axes) == 3
    assert [axis.get_subplotspec().colspan.start for axis in axes[:, 0]] == [0, 1, 2]
    style.plt.close(figure)


def test_a_picture_is_a_png_in_the_page_and_knows_its_width():
    figure, axes = style.panels(1, 1, 2.0)
    axes[0, 0].plot([0, 1])
    found = style.picture(figure, "a line")
    image = style.plt.imread(io.BytesIO(base64.b64decode(found.source.removeprefix("data:image/png;base64,"))))
    assert found.inches == image.shape[1] / style.DPI and image[..., :3].std() > 0.02
    assert not style.plt.get_fignums()


def test_margins_that_a_map_leaves_are_cut_and_nothing_else():
    figure, axes = style.plt.subplots(figsize=(8, 3))
    axes.imshow(np.eye(20))  # a square in the middle of a wide figure
    found = style.picture(figure, "a map")
    image = style.plt.imread(io.BytesIO(base64.b64decode(found.source.removeprefix("data:image/png;base64,"))))
    ink, pad = (image[..., :3] < 1).any(2), round(style.MARGIN * style.DPI)
    assert found.inches < 3.2
    for axis in (0, 1):
        (where,) = np.nonzero(ink.any(axis))
        size = image.shape[1 - axis]
        assert 0 < where[0] <= pad and 0 < size - 1 - where[-1] <= pad


def test_a_picture_that_was_drawn_before_keeps_its_bytes_and_width(tmp_path):
    drawn = style.Figure(figsize=(4.0, 2.0))
    drawn.savefig(tmp_path / "drawn.png", dpi=style.DPI)
    found = style.png(tmp_path / "drawn.png", "what it shows")
    assert base64.b64decode(found.source.split(",")[1]) == (tmp_path / "drawn.png").read_bytes()
    assert found.inches == pytest.approx(4.0, abs=0.01) and found.alt == "what it shows"
