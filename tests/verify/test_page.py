"""The report in a browser, on a laptop and on a phone: nothing broken, nothing cut off, printable."""

from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from tests import browsers, shared
from tests.verify import worlds

HEADINGS = [
    "The storm", "Every channel", "Where the errors are", "Skill by region and season",
    "Error by distance to stations", "Observations over time", "Departures at stations",
    "Observations and analysis", "Rank histograms", "Spectra", "At two stations", "Seams", "Learning",
    "Memorisation", "All scores", "Data and cost", "Provenance",
]  # fmt: skip
OF_A_RING = ["Time and longitude", *HEADINGS[2:4], HEADINGS[5], *HEADINGS[7:10], "At a station", *HEADINGS[11:]]


@pytest.fixture(scope="module")
def browser():
    with browsers.launched() as browser:
        yield browser


def made(kind: str, folder: Path) -> None:
    """A report on a box, a globe or a ring."""
    if kind == "ring":
        world = worlds.make(folder, worlds.RING, frames=48, shard=8, channels=("x",), withheld=False)
    else:
        world = worlds.make(folder, {"box": worlds.BOX, "globe": worlds.GLOBE}[kind], frames=48, shard=8)
    worlds.reported(folder, world)


@pytest.fixture(scope="module", params=[pytest.param("box", marks=pytest.mark.slow), "globe", "ring"])
def report(request):
    return shared.once(f"report-{request.param}", partial(made, request.param)) / "report.html"


@pytest.fixture(scope="module")
def ring(report):
    return "ring" in report.parent.name


@pytest.fixture(scope="module", params=browsers.WIDTHS)
def page(browser, report, request):
    """A page that the tests below share; a complaint of the browser at any time is an error."""
    page = browsers.opened(browser, report, browsers.WIDTHS[request.param])
    yield page
    assert page.complaints == []
    page.close()


def test_the_browser_reports_no_error(page):
    assert page.complaints == []


def test_every_section_is_there(page, ring):
    """A ring without withheld stations has no map, no distance that says anything, and one station to show."""
    assert page.locator("h2").all_inner_texts() == (OF_A_RING if ring else HEADINGS)
    for link in page.locator("nav a").all():
        assert page.locator(link.get_attribute("href")).count() == 1


def test_every_picture_is_whole(page, ring):
    found = page.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth, i.alt.length])")
    assert len(found) == (13 if ring else 16) and all(whole and width > 300 and words for whole, width, words in found)


def test_the_page_is_no_wider_than_the_window(page):
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_wide_pictures_are_scrolled_and_their_letters_stay_legible(page):
    """A letter of 9 points is 9 / 72 inches of the picture; at 84 pixels an inch it is over 10 pixels high."""
    found = page.evaluate("[...document.images].map(i => [i.clientWidth, i.naturalWidth])")
    for width, natural in found:
        assert width / (natural / 132) * 9 / 72 >= (10 if natural > 6 * 132 else 8)


def test_the_page_prints_with_what_is_folded_away(page):
    """Closed details are laid out on paper, so the page is longer than with them left out."""
    page.emulate_media(media="print")
    assert page.locator("pre").bounding_box()["height"] > 300
    printed = page.pdf(format="A4")
    page.emulate_media(media="screen")
    assert printed.startswith(b"%PDF") and printed.count(b"/Type /Page\n") > 3


def test_a_station_shows_its_name_and_on_a_click_its_departures_over_time(page, ring, report):
    """Numbers, curve and points are those of the tables; arrow keys go to the station that departs next to most."""
    if ring:
        assert page.locator("[data-stations]").count() == 0
        return
    stations = pd.read_csv(report.parent / "stations.csv").query("analysis == 'diffusion'")
    series = pd.read_csv(report.parent / "series.csv")
    page.locator("[data-choose=channel]").select_option("msl")
    ordered = stations[stations["channel"] == "msl"].sort_values("spread_skill")["station"].tolist()
    marks = page.locator("[data-marks] > *")
    assert marks.count() == len(ordered)
    mark = page.locator("[data-marks] > *", has_text=f"{ordered[1]}: RMSE")
    mark.click(force=True)  # others may cover its middle
    page.locator("[data-map]").press("ArrowRight")
    page.locator("[data-map]").press("ArrowLeft")
    assert page.locator("[data-details] h3").inner_text() == f"{ordered[1]}, msl (Pa)"
    mine = series[(series["station"] == ordered[1]) & (series["channel"] == "msl")]
    told = page.locator("[data-details] circle title").all_text_contents()
    found = [float(text.split(": ")[1].split(",")[0].replace("−", "-")) for text in told]
    assert found == pytest.approx(mine["bias"].tolist(), rel=5e-3)
    total = int(stations.query("channel == 'msl' and station == @ordered[1]")["rows"].iloc[0])
    assert f"{total} " in page.locator("[data-details] p").nth(1).inner_text()


def test_stations_are_coloured_by_code(page, ring):
    if ring:
        return
    page.locator("[data-choose=colour]").select_option("code")
    assert page.locator("[data-key] span").all_inner_texts() == ["used (9)", "withheld (3)"]
    fills = page.evaluate("[...document.querySelectorAll('[data-marks] > *')].map(m => m.getAttribute('fill'))")
    assert sorted(fills) == ["#0072b2"] * 9 + ["#e69f00"] * 3
