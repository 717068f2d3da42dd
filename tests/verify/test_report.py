"""The report as text; how it looks is for tests/verify/test_page.py."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Text

from hindsight.verify import numbers, report, style
from tests.verify import worlds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def world(folder):
    return worlds.make(folder, worlds.GLOBE, frames=48, shard=8)


@pytest.fixture(scope="module")
def text(folder, world):
    return worlds.reported(folder, world).read_text()


def test_the_page_needs_nothing_from_outside(text):
    assert not re.search(r"(src|href)=\"(?!data:|#)", text) and "http" not in text.replace("http-equiv", "")


def test_the_page_says_what_was_made(text):
    assert "48 frames, one every 24 h" in text and "32 × 64 points" in text and "all longitudes" in text
    assert "9 stations used, 3 withheld; errors 50 m² s⁻² (z500), 50 Pa (msl)" in text
    assert "mean sea level pressure (Pa)" in text and "4 members" in text


def test_the_page_counts_used_and_rejected_observations(text):
    assert "Observations sparse" in text
    assert "90 of 97 rows are used; not used: 7 not at a frame&#39;s time" in text


def test_the_page_says_what_it_cost_as_measured(text):
    """Six shards of 12.5 s, for 48 frames of 4 members."""
    assert re.search(r"<td>reanalyse: shard</td><td>6</td><td>75.0 s</td><td>12.5 s</td><td>2.0 min</td>", text)
    assert "Sampling took 0.39 s of wall time per frame and member" in text


@pytest.fixture
def unrendered(monkeypatch):
    """Pictures are made and not rendered; the words of them."""
    words = []

    def picture(figure, alt):
        words.extend(text.get_text() for text in figure.findobj(Text))
        style.plt.close(figure)
        return style.Picture("data:image/png;base64,", 5.0, alt)

    monkeypatch.setattr(style, "picture", picture)
    return words


def test_the_page_compares_forecast_and_use(folder, world, text, unrendered):
    """Six jobs of 12.5 s that were forecast at 60 s together."""
    assert "Forecast and use" not in text
    band = {"value": 60 / 3600, "low": 50 / 3600, "high": 70 / 3600}
    plan = {"jobs": 6, "evaluations": 9, "device_hours": band, "analyses_bytes": band, "host_bytes": band}
    path = folder / "reanalyse/sparse/plan.json"
    path.write_text(json.dumps(plan))
    try:
        more = worlds.reported_again(folder, world).read_text()
    finally:
        path.unlink()
    row = "<td>device time</td><td>60.0 s</td><td>50.0 s to 70.0 s</td><td>75.0 s</td><td>0.80</td>"
    assert "Forecast and use" in more and row in more
    assert "<td>network evaluations</td><td>9</td><td></td><td>not measured</td><td></td>" in more


def test_rejected_observations_are_counted_once_per_shard(monkeypatch):
    found = {"a-0": 2, "a-1": 2, "b-0": 0, "c-0": 1}
    paths = [Path(f"results/reanalyse/net/diffusion/{name}.nc") for name in found]
    counts = lambda path: xr.Dataset(attrs={"gross_observations": found[path.stem]})
    monkeypatch.setattr(report.analysis_files, "header", counts)
    assert report.rejected_observations(paths)[0].startswith("3 observations in 2 shards")
    assert report.rejected_observations(paths[2:3]) == []


def test_a_controller_that_is_too_often_at_its_bound_is_a_warning(monkeypatch):
    found = {"a": 0.004, "b": 0.034, "c": 0.02, "d": None}  # d: an analysis without a controller
    paths = [Path(f"{name}.nc") for name in found]
    attributes = lambda path: {} if found[path.stem] is None else {"control_at_bound": found[path.stem]}
    monkeypatch.setattr(report.analysis_files, "header", lambda path: xr.Dataset(attrs=attributes(path)))
    (warning,) = report.controller_warnings(paths)
    assert warning.startswith("in 2 of 4 files of analyses") and "more than 1% of the points (at most 3.4%)" in warning
    assert report.controller_warnings([paths[0], paths[3]]) == []


def test_every_picture_says_what_it_shows(text):
    pictures = re.findall(r"<img [^>]*>", text)
    assert len(pictures) == 16 and all(re.search(r'alt="[^"]{10,}"', picture) for picture in pictures)


@pytest.mark.slow
def test_the_same_inputs_give_the_same_page(text, folder, world):
    assert worlds.reported_again(folder, world).read_text() == text


def test_without_benchmarks_the_cost_is_not_invented(folder, world, text, unrendered):
    (folder / "benchmarks/reanalyse").rename(folder / "benchmarks/elsewhere")
    try:
        bare = worlds.reported_again(folder, world).read_text()
    finally:
        (folder / "benchmarks/elsewhere").rename(folder / "benchmarks/reanalyse")
    assert "were not measured" in bare and "of wall time per frame" not in bare


def words_of(folder, words, against, grid=worlds.BOX, **shape):
    """Every word of a report and of its pictures, which are not rendered."""
    world = worlds.make(folder, grid, frames=32, shard=16, against=against, **shape)
    page = worlds.reported(folder, world).read_text()
    return "\n".join([page, *words]), xr.load_dataset(folder / "scores.nc")


def test_a_reference_is_called_by_its_name_and_nowhere_truth(tmp_path, unrendered):
    text, scores = words_of(tmp_path, unrendered, "reference")
    assert not re.search("truth", text, re.IGNORECASE) and "truth" not in str(scores.to_dict())
    for part in (
        "compared with a walk and with observations withheld",
        "analysis − a walk",
        "members below a walk",
        "members / a walk",
        "may have assimilated the same reports",
        "<dt>Reference</dt><dd>a walk</dd>",
    ):
        assert part in text
    table = re.search('aria-label="At withheld observations">.*?</table>', text, re.DOTALL)[0]
    own = numbers.format_score(*(float(scores[f"reference_{k}"][0, 0, 0]) for k in ("score", "lower", "upper")))
    assert table.count("<td>a walk</td>") == 3 and own["text"] in table and own["range"] in table


def test_a_truth_is_called_truth_in_text_and_pictures(tmp_path, unrendered):
    text, _ = words_of(tmp_path, unrendered, "truth")
    for part in ("analysis − truth", "members below the truth", "Rank of the truth", "<dt>Truth</dt><dd>a walk</dd>"):
        assert part in text
    assert "At withheld observations" not in text


def test_without_fields_the_page_scores_withheld_observations_and_draws_the_analysis_alone(tmp_path, unrendered):
    text, scores = words_of(tmp_path, unrendered, "none")
    assert not re.search(r"truth|analysis −|>\s*[-−]?nan|everywhere", text, re.IGNORECASE)
    for part in (
        "compared with observations withheld from it",
        "There are no fields of this period to compare with: the scores are those at withheld observations alone",
        "at withheld observations relative to optimal interpolation",
        "Scores at withheld observations, with",
        "members below the observation",
        "Skill at withheld observations",
    ):
        assert part in text
    assert "missing in the source" not in text and "the source lacks" not in text
    best = numbers.percent_change(
        scores.sel(network="sparse", channel="msl", analysis="diffusion", compared="crps"), "ratio"
    )
    assert f">{best['text']}</b>" in text and np.isfinite(float(scores["ratio"].min()))


def test_without_fields_and_withheld_observations_the_page_says_that_nothing_is_scored(tmp_path, unrendered):
    text, _ = words_of(tmp_path, unrendered, "none", withheld=False)
    assert "no observation is withheld, so there are no scores" in text and "not compared with anything" in text
    assert not re.search(r"truth|>\s*[-−]?nan|Skill|Rank histograms", text)


def test_a_line_without_fields_is_drawn_too(tmp_path, unrendered):
    text, _ = words_of(tmp_path, unrendered, "none", worlds.RING, channels=("x",))
    assert "Analysis and spread along the line" in text and not re.search(r"truth|>\s*[-−]?nan", text)
