"""The report in a browser, on a laptop and on a phone: nothing broken, nothing cut off, printable."""

import shutil

import pytest

from tests.verify import worlds

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
HEADINGS = [
    "Data and cost", "The storm", "Every channel", "Where the errors are", "Skill by region and season",
    "Error by distance to stations", "Observations over time", "Departures at stations", "Rank histograms", "Spectra",
    "At two stations", "Seams", "Learning", "All scores", "Provenance",
]  # fmt: skip
OF_A_RING = ["Data and cost", "Time and longitude", *HEADINGS[3:5], HEADINGS[6], *HEADINGS[8:10], "At a station"]
OF_A_RING += HEADINGS[11:]
WIDTHS = {"laptop": 1280, "phone": 390}


@pytest.fixture(scope="module")
def browser():
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if not found:
        pytest.skip(f"no browser ({', '.join(BROWSERS)}); install one to see the report as its readers do")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["box", "globe", "ring"])
def report(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "ring":
        world = worlds.make(folder, worlds.RING, frames=48, shard=8, channels=("x",), withheld=False)
    else:
        world = worlds.make(folder, {"box": worlds.BOX, "globe": worlds.GLOBE}[request.param], frames=48, shard=8)
    return worlds.reported(folder, world)


@pytest.fixture
def ring(report):
    return "ring" in report.parent.name


@pytest.fixture(params=WIDTHS)
def page(browser, report, request):
    page = browser.new_page(viewport={"width": WIDTHS[request.param], "height": 900})
    page.complaints = []
    page.on("console", lambda m: page.complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("requestfailed", lambda failed: page.complaints.append(failed.url))
    page.goto(report.as_uri(), wait_until="load")
    yield page
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
    assert len(found) == (11 if ring else 14) and all(whole and width > 300 and words for whole, width, words in found)


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
    assert printed.startswith(b"%PDF") and printed.count(b"/Type /Page\n") > 3
