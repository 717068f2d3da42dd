"""Settings: all mistakes at once, and each stage sees its own part."""

import json

import pytest

from hindsight import settings
from hindsight.errors import UserError


def mistakes(config: dict) -> str:
    with pytest.raises(UserError) as error:
        settings.read(config)
    return str(error.value)


def test_all_mistakes_are_told_at_once_with_what_was_given():
    text = mistakes(
        {"product": {"members": 1, "memebrs": 3}, "verify": {"confidence": 95}, "run": "My Run", "nonsense": 1}
    )
    for part in (
        "product.members",
        "(got 1)",
        "product.memebrs: Extra inputs",
        "verify.confidence",
        "(got 95)",
        "run:",
        "nonsense",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"domain": {"channels": ["z500", "zz"]}}, "domain.channels: 'zz'"),
        ({"domain": {"channels": ["z500", "z500"]}}, "more than once: z500"),
        ({"domain": {"test": {"start": "2010-01-01", "end": "2009-01-01"}}}, "before it starts"),
        ({"domain": {"test": {"start": "2007-06-01", "end": "2009-01-01"}}}, "train .* and test .* overlap"),
        ({"domain": {"longitude_edges": "pole"}}, "a pole lies beyond a latitude"),
        ({"train": {"colour": {"basis": "waves"}}}, "waves are for the whole globe"),
        ({"download": {"source": "synthetic"}}, "domain.step_hours: 24, and the built-in world .* every 6 h"),
        ({"download": {"source": "synthetic"}}, "domain.test: lies outside the built-in world"),
        ({"download": {"source": "local", "files": []}}, "a local source needs files"),
        ({"download": {"synthetic": {"levels": [500, 500]}}}, "more than once"),
        ({"download": {"synthetic": {"step_minutes": 7}}}, "does not divide step_hours"),
        ({"download": {"synthetic": {"truncation": 42}}}, "32 latitudes cannot show truncation 42"),
        ({"observe": {"networks": {"a": {"kind": "land"}}}}, "needs a count of stations"),
        ({"baselines": {"optimal_interpolation": {"localisation_km": 30000}}}, "localisation_km"),
        ({"observe": {"networks": {"a": {"kind": "stations"}}}}, "needs a file"),
        ({"observe": {"networks": {"a": {"noise": 0}}}}, "above zero"),
        ({"observe": {"networks": {"a": {"noise": {"z500": 0.1}}}}}, "observe.networks.a.noise lacks: 't850'"),
        ({"observe": {"networks": {"a b": {}}}}, "lower-case words"),
        ({"observe": {"networks": {}}}, "observe.networks"),
        ({"baselines": {"optimal_interpolation": {"frames": 2}}}, "must be odd"),
        ({"archive": {"network": "none"}}, "there is no network 'none'"),
        ({"archive": {"chunk_frames": 7}}, "not a multiple of archive.chunk_frames"),
        ({"reanalyse": {"sigma_max": 50.0}}, "reach beyond those of train"),
        ({"reanalyse": {"sigma_max": 0.01}}, "must lie below sigma_max"),
        ({"reanalyse": {"stride": 9}}, "gaps between windows of 8"),
        ({"train": {"equal_share": 0.9, "staircase_share": 0.2}}, "more than 1"),
        ({"train": {"backbone": {"width": 9}}}, "multiple of 8"),
        ({"train": {"learning_rate": float("nan")}}, "finite"),
    ],
)
def test_what_cannot_work_is_refused_by_name(config, says):
    import re

    assert re.search(says, mistakes(config)), mistakes(config)


def test_a_stage_sees_its_own_part_and_no_more():
    chosen = settings.read({})
    for stage, seen in settings.SEEN.items():
        assert set(json.loads(settings.for_stage(chosen, stage))) == {*seen, stage}
    before = settings.for_stage(chosen, "verify")
    changed = settings.read({"train": {"steps": 1}, "archive": {"title": "x"}})
    assert settings.for_stage(changed, "verify") == before


def test_what_a_stage_was_given_it_loads(tmp_path):
    chosen = settings.read({"product": {"members": 5}})
    file = tmp_path / "archive.json"
    file.write_text(settings.for_stage(chosen, "archive"))
    assert settings.load(file, [settings.Product, settings.Archive]) == [chosen.product, chosen.archive]


def test_files_that_are_not_there_are_listed_together(tmp_path):
    chosen = settings.read(
        {
            "data": str(tmp_path),
            "download": {"files": ["a/*.nc"]},
            "verify": {"coastline": "c.json"},
            "observe": {"networks": {"n": {"kind": "stations", "file": "s.csv"}}},
        }
    )
    with pytest.raises(UserError) as error:
        settings.check_files(chosen)
    for part in ("a/*.nc", "c.json", "s.csv", "DATA=FOLDER"):
        assert part in str(error.value)


def test_units_are_converted_or_refused():
    from hindsight.settings.lexicon import conversion

    assert conversion("m**2 s**-2", "m2 s-2") == (1.0, 0.0)
    assert conversion("degC", "K") == (1.0, 273.15) and conversion("hPa", "Pa") == (100.0, 0.0)
    assert conversion("gpm", "m2 s-2")[0] == pytest.approx(9.80665)
    assert conversion("furlong", "K") is None
