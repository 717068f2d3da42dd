"""The page of an archive, in a browser: its maps, series and observations are those of the archive."""

import csv
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.operators.interpolate import bilinear
from tests import browsers
from tests.archive import pages
from tests.archive.conftest import Small

GLOBE = Grid(np.arange(-85.0, 90, 10), np.arange(0, 360, 15.0))
RING = Grid(np.zeros(1), np.arange(0, 360, 9.0))
GRIDS = {"box": Small(None).grid, "globe": GLOBE, "ring": RING}


@pytest.fixture(scope="module")
def browser():
    with browsers.launched() as browser:
        yield browser


@pytest.fixture(scope="module", params=GRIDS)
def archive(request, tmp_path_factory):
    """A small archive on a grid, and its page."""
    small = Small(tmp_path_factory.mktemp(request.param), grid=GRIDS[request.param])
    small.make()
    table = pages.rows(small)
    return small, pages.explored(small, table=table.assign(latitude=0.0) if request.param == "ring" else table)


@pytest.fixture
def page(browser, archive):
    page = ready(browsers.opened(browser, archive[1], 1280))
    yield page
    assert page.complaints == []
    page.close()


def ready(page):
    page.wait_for_selector("html[data-ready]")
    return settled(page)


def settled(page):
    """Everything that was to be drawn is drawn."""
    page.evaluate("new Promise((done) => setTimeout(() => requestAnimationFrame(done), 60))")
    return page


def step(small, channel="z500"):
    content = pages.content(small.archive.with_name("explore.html"))
    return next(one["step"] for one in content["channels"] if one["name"] == channel)


def field(small, group, channel="z500"):
    return xr.open_zarr(small.archive, group=group)[channel]


def pixels(page, canvas="map"):
    return page.evaluate(f"document.getElementById('{canvas}').toDataURL()")


def series(page):
    """The series as a reader downloads it, a dictionary of strings for each frame."""
    with page.expect_download() as download:
        page.click("#table")
    with open(download.value.path()) as file:
        return list(csv.DictReader(file))


def said_at(page, x, y):
    """Latitude, longitude and value that the page says on hovering, at shares of the map's width and height."""
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    said = settled(page).locator("#readout").inner_text()
    north, side, east, turn, value = re.match(r"([\d.]+)°([NS]?), ([\d.]+)°([EW]?): .*? (−?[\d.]+) m²", said).groups()
    latitude, longitude = float(north) * (-1 if side == "S" else 1), float(east) * (-1 if turn == "W" else 1)
    return latitude, longitude, float(value.replace("−", "-"))


def click_at(page, latitude, longitude):
    """Click the map at a place, which lies where hovering at two others says: maps are equirectangular."""
    low, high = (np.array(said_at(page, at, at)[:2]) for at in (0.3, 0.7))
    up, right = 0.3 + 0.4 * ((latitude, longitude) - low) / (high - low)
    box = page.locator("#map").bounding_box()
    page.mouse.click(box["x"] + right * box["width"], box["y"] + up * box["height"])
    return settled(page)


def test_a_series_is_that_of_the_archive(page, archive):
    """In the middle of the map, every frame of mean, spread, member and reference, in every channel."""
    small, _ = archive
    row = len(small.grid.latitude) // 2
    column = 0 if small.grid is GLOBE else len(small.grid.longitude) // 2  # a globe is centred on Greenwich
    reference = xr.open_zarr(small.folder / "reference.zarr", consolidated=False)["fields"]
    for number, channel in enumerate(("z500", "msl")):
        page.select_option("#channel", str(number))
        found = series(settled(page))
        assert [one["time"] for one in found] == [
            f"{np.datetime_as_string(t, 's')}Z" for t in field(small, "mean").time.values
        ]
        expected = {kind: field(small, kind, channel)[:, row, column].values for kind in ("mean", "spread")}
        expected["member"] = field(small, None, channel)[0, :, row, column].values
        expected["reference"] = reference.sel(channel=channel)[:, row, column].values
        for kind, values in expected.items():
            numbers = np.array([float(one[f"{channel} {kind}"] or "nan") for one in found])
            np.testing.assert_array_equal(np.isnan(numbers), np.isnan(values))
            assert np.nanmax(abs(numbers - values)) <= step(small, channel) / 2 * (1 + 1e-6)


def test_the_slider_and_the_keys_move_the_frame(page):
    before, written = pixels(page), page.locator("#time").inner_text()
    page.locator("#frame").fill("7")
    assert settled(page).locator("#time").inner_text() == "2009-01-08 12:00 UTC" != written
    assert pixels(page) != before
    page.locator("#map").focus()
    for key, day in (("ArrowRight", 9), ("ArrowLeft", 8), ("End", 25), ("ArrowRight", 25), ("Home", 1)):
        page.keyboard.press(key)
        assert settled(page).locator("#time").inner_text() == f"2009-01-{day:02d} 12:00 UTC"
    assert pixels(page) == before


def test_the_space_bar_plays_and_pauses(page):
    page.locator("#map").focus()
    page.keyboard.press(" ")
    page.wait_for_timeout(1000)
    page.keyboard.press(" ")
    now = settled(page).locator("#time").inner_text()
    assert now > "2009-01-03"
    page.wait_for_timeout(300)
    assert page.locator("#time").inner_text() == now and page.locator("#play").inner_text() == "Play"


@pytest.mark.parametrize("kind", ["mean", "spread", "member", "reference", "difference"])
def test_hovering_says_the_value_of_the_box(page, archive, kind):
    small, _ = archive
    page.locator("#frame").fill("7")
    page.select_option("#kind", kind)
    latitude, longitude, value = said_at(settled(page), 0.61, 0.37)
    reference = xr.open_zarr(small.folder / "reference.zarr", consolidated=False)["fields"].sel(channel="z500")
    values = {
        "mean": field(small, "mean"),
        "spread": field(small, "spread"),
        "member": field(small, None)[0],
        "reference": reference,
    }
    values["difference"] = values["mean"] - values["reference"]
    grid = small.grid
    row = np.abs(grid.latitude - latitude).argmin()
    column = np.abs((grid.longitude - longitude + 180) % 360 - 180).argmin()
    assert value == pytest.approx(float(values[kind][7, row, column]), abs=1.5 * step(small))


def test_a_click_chooses_the_place(page, archive):
    """Where the cursor is, the series is that of the nearest point; in the middle of a box, away from its edges."""
    small, _ = archive
    page.uncheck("#stations")
    box = page.locator("#map").bounding_box()
    at = box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"]
    page.mouse.move(*at)
    value = settled(page).locator("#readout").inner_text().split("mean ")[1]
    page.mouse.click(*at)
    assert f": z500 {value.removesuffix(' m² s⁻²')}" in settled(page).locator("#place").inner_text()
    before = page.locator("#place").inner_text()
    page.locator("#map").focus()
    page.keyboard.press("Shift+ArrowRight")
    assert settled(page).locator("#place").inner_text() != before


def test_a_station_has_its_observations(page, archive):
    """Chosen from the list; of the frame, the text and the table say the value, its departure and its use."""
    small, _ = archive
    page.locator("#frame").fill("4")
    names = page.locator("#station option").all_inner_texts()
    for name, number, use in (("A", 0, "used"), ("B", 1, "withheld"), ("C", 2, "far from its neighbours")):
        page.select_option(
            "#station", next(str(at - 1) for at, text in enumerate(names) if text.startswith(f"{name} ("))
        )
        said = settled(page).locator("#place").inner_text()
        value, departure, found = re.search(
            r"observed z500 ([\d]+) .*?, (−?\d+) .*? from the mean there \((.*)\)", said
        ).groups()
        assert int(value) == pytest.approx(54_000 + 40 + number - 5, abs=1)
        assert float(departure.replace("−", "-")) == pytest.approx(4 - 7, abs=1) and found == use
        rows = series(page)
        north = 0.0 if len(small.grid.latitude) == 1 else 40.2 + number
        operator = bilinear(small.grid, np.array([north]), np.array([number - 2.3]))
        mean = operator.apply(field(small, "mean").values.reshape(25, -1))[:, 0]
        np.testing.assert_allclose([float(one["z500 mean"]) for one in rows], mean, atol=step(small) / 2 * (1 + 1e-6))
        assert [one["use"] for one in rows] == [use] * 25
        np.testing.assert_allclose(
            [float(one["observed z500"]) for one in rows], 53_995 + number + 10 * np.arange(25), atol=1
        )
    assert [page.locator(f"#count-{one}").inner_text() for one in ("used", "withheld", "not-used")] == ["1", "1", "1"]


@pytest.mark.parametrize("archive", ["box"], indirect=True)
def test_a_click_on_a_mark_chooses_the_station(page):
    click_at(page, 41.2, -1.3)
    assert page.locator("#place").inner_text().startswith("Station B, 41.2°N, 1.3°W")


@pytest.mark.parametrize("width", browsers.WIDTHS.values(), ids=browsers.WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_fetched_nor_cut_off_nor_wrong(browser, archive, width, scheme):
    page = ready(browsers.opened(browser, archive[1], width, color_scheme=scheme))
    assert page.complaints == [] and [url for url in page.requests if not url.startswith("data:")] == [
        archive[1].as_uri()
    ]
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    for canvas in ("map", "series"):
        assert page.locator(f"#{canvas}").bounding_box()["width"] > 300
        assert page.locator(f"#{canvas}").get_attribute("aria-label").count("z500") or canvas == "map"
    paper, ink = page.evaluate(
        "(({ backgroundColor, color }) => [backgroundColor, color])(getComputedStyle(document.body))"
    )
    lightness = [sum(map(int, re.findall(r"\d+", one))) for one in (paper, ink)]
    assert (lightness[0] > lightness[1]) == (scheme == "light") and abs(lightness[0] - lightness[1]) > 500
    page.close()


def test_every_control_is_labelled(page):
    name = "[...one.labels].map((label) => label.innerText).join() || one.innerText"
    names = page.evaluate(f"[...document.querySelectorAll('select, input, button')].map((one) => {name})")
    assert len(names) == 8 and all(name.strip() for name in names)


def test_without_fields_to_compare_with_there_is_no_reference(small, browser):
    page = ready(browsers.opened(browser, pages.explored(small, against="none"), 1280))
    kinds = page.locator("#kind option").all_inner_texts()
    assert kinds == ["ensemble mean", "ensemble spread", "member 0"] and page.complaints == []
    assert set(series(page)[0]) == {"time", "z500 mean", "z500 spread", "z500 member"}
    page.close()


def test_a_station_that_measures_something_else_is_compared_with_what_it_would_measure(small, browser):
    table = pages.rows(small).assign(channel="msl", obsvalue=101_000.0, biascorr=0.0, an_depar=30.0)
    page = ready(browsers.opened(browser, pages.explored(small, table=table), 1280))
    assert page.locator("#count-used").inner_text() == "0"  # z500 is shown
    page.select_option("#channel", "1")
    assert settled(page).locator("#count-used").inner_text() == "1"
    page.close()


def test_a_page_is_as_small_as_asked_and_says_what_it_leaves_out(small):
    """First values are rounded more, then there are fewer frames."""
    allowed, made = 5e6, []
    for _ in range(3):
        page = pages.explored(small, explorer_mb=allowed / 1e6)
        assert page.stat().st_size <= allowed
        allowed = page.stat().st_size - 1
        made.append(pages.content(page))
    said = [one["notes"][0] for one in made]
    assert ["all 25 frames, and all points" in one for one in said] == [True, True, False]
    assert "every 2nd of the archive's 25 frames (every 48 h)" in said[2]
    assert [(one["frames"], one["hours"]) for one in made] == [(25, 24), (25, 24), (13, 48)]
    steps = [one["channels"][0]["step"] for one in made]
    assert steps[0] < steps[1] == steps[2] and f"{steps[1] / 2:g} m² s⁻² (z500)" in made[1]["notes"][1]
    for one, step, stride in zip(made, steps, (1, 1, 2)):
        found = pages.field(one, "z500", "mean")
        assert abs(found - field(small, "mean").values[::stride]).max() <= step / 2 * (1 + 1e-6)
    with pytest.raises(UserError, match="explorer_mb: 0.01, but even with one frame of one box"):
        pages.explored(small, explorer_mb=0.01)


@pytest.mark.slow
def test_a_long_archive_has_a_page_of_the_same_size(tmp_path):
    """Three months on 30 x 40 points, whose page would have a megabyte with every frame."""
    small = Small(tmp_path, end="2009-03-31T12:00", grid=Grid(np.arange(30.0, 60), np.arange(-30.0, 10)), members=2)
    small.make()
    page = pages.explored(small, explorer_mb=0.2)
    assert 0.1e6 < page.stat().st_size <= 0.2e6
    content = pages.content(page)
    assert content["frames"] < 90 and re.search("every .* of the archive's 90 frames", content["notes"][0])


def test_the_same_archive_gives_the_same_bytes(small):
    first = pages.explored(small).read_bytes()
    assert pages.explored(small).read_bytes() == first


def test_a_title_cannot_end_the_data(small, browser):
    """Names of stations come from files of others."""
    table = pages.rows(small).replace({"station": {"A": "</script><script>alert(1)</script>"}})
    page = ready(browsers.opened(browser, pages.explored(small, table=table), 1280))
    assert page.complaints == [] and any(
        "<script>" in text for text in page.locator("#station option").all_inner_texts()
    )
    page.close()


def test_an_archive_without_observations_has_a_page(small, browser):
    page = ready(browsers.opened(browser, pages.explored(small, table=pages.rows(small)[:0]), 1280))
    assert page.complaints == [] and not page.locator("#of-stations").is_visible()
    assert pd.DataFrame(series(page))["z500 mean"].ne("").all()
    page.close()
