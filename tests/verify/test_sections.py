"""The sections that are made of pictures; how they look is for tests/verify/test_page.py."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.fields import observations, store
from hindsight.verify import sections, storm
from tests.verify import worlds


def shown(world, scores, folder):
    summary = worlds.summarised(folder, world)
    return sections.ReportData(
        scores,
        store.read(world["fields"])["fields"],
        np.ones(store.read(world["fields"]).sizes["time"], bool),
        worlds.BOX,
        {"sparse": observations.stations(world["observations"])},
        {"sparse": world["observations"]},
        [path for path in world["analyses"] if "diffusion" in path.parts],
        [],
        pd.read_csv(summary["monthly"]),
        pd.read_csv(summary["stations"]),
        pd.read_csv(summary["series"]),
        sorted((folder / "feedback").glob("*/*/*.parquet")),
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return worlds.make(tmp_path_factory.mktemp("world"), worlds.BOX, frames=32, shard=32)


def test_one_shard_says_that_it_has_no_seam(world, tmp_path):
    scores = xr.load_dataset(worlds.scored(tmp_path, world))
    it, settings = shown(world, scores, tmp_path), world["settings"]
    event = storm.find(it.truth, it.grid, None)
    found = sections.sections(it, event, world["curve"], settings.domain, settings.verify)
    seams = next(section for section in found if section["title"] == "Seams")
    assert seams["title"] == "Seams" and not seams["pictures"] and "the period is one shard" in seams["text"]
    assert all(section["pictures"] for section in found if section is not seams)
    assert all(picture.alt for section in found for picture in section["pictures"])


def test_the_text_says_that_edges_of_shards_are_edges_of_streams(world, scores, tmp_path, monkeypatch):
    it = shown(world, scores, tmp_path)
    assert sections._streams(it) == ""
    made = {"regime": "fixed_lag"}
    monkeypatch.setattr(sections.analyses, "header", lambda path: xr.Dataset(attrs=made))
    assert "(fixed lag)" in sections._streams(it) and "edges of streams" in sections._streams(it)


def test_the_storm_named_is_the_one_that_was_found(world, scores, tmp_path):
    it = shown(world, scores, tmp_path)
    found = storm.find(it.truth, it.grid, None)
    text = sections._storm(it, found, world["settings"].domain)[0]["text"]
    day = str(it.truth["time"].values[found.frame])[:10]
    assert day in text and f"{found.latitude:g}°N" in text and "sparse" in text
    used = it.used("sparse")
    assert not used["withheld"].any() and used["station"].is_unique and len(used) == 9
    assert np.isin(it.paths("sparse"), it.analyses).all() and it.paths("dense") == []
