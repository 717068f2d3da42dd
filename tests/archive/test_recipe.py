"""Recipes, and in what they differ."""

import json
import subprocess
import sys

import pytest

from hindsight.archive import recipe
from hindsight.errors import UserError
from hindsight.settings import Archive, Domain, Observe, Product, Reanalyse

PRIOR = {"prior": "3f2a" + "0" * 60, "steps": "8"}


def made(test=None, product=None, archive=None, reanalyse=None, observe=None, **said) -> dict:
    """A recipe that differs from the defaults where it is said."""
    domain = Domain(test=test or {"start": "2009-01-01", "end": "2010-12-31"})
    sections = domain, Product(**product or {}), Archive(**archive or {}), Reanalyse(**reanalyse or {})
    return {"settings": recipe.recipe_settings(*sections, Observe(**observe or {})), "made_from": PRIOR | said}


def test_a_later_end_and_more_members_are_the_same_recipe_and_the_same_digest():
    longer = made(test={"start": "2009-01-01", "end": "2011-01-01"}, product={"members": 20})
    assert recipe.differences(made(), longer) == []
    assert recipe.digest(made()) == recipe.digest(longer)


def test_an_earlier_end_and_fewer_members_are_named_with_both_values():
    lines = recipe.differences(made(), made(test={"start": "2009-01-01", "end": "2010-01-31"}, product={"members": 8}))
    assert lines == [
        "domain.test.end: 2010-12-31T23:59:59 in the archive, 2010-01-31T23:59:59 now, which would shorten the archive",
        "product.members: 16 in the archive, 8 now, which would shorten the archive",
    ]


def test_every_difference_is_listed_once_by_its_dotted_name():
    other = made(reanalyse={"steps": 10, "guidance": {"gamma": None}}, archive={"spread_share": 0.02},
                 product={"seed": 2}, prior="91bc" + "1" * 60, steps="10")  # fmt: skip
    assert recipe.differences(made(), other) == [
        "archive.spread_share: 0.01 in the archive, 0.02 now",
        "product.seed: 1 in the archive, 2 now",
        "reanalyse.steps: 8 in the archive, 10 now",
        "prior: 3f2a00000000… in the archive, 91bc11111111… now",
    ]
    assert recipe.digest(made()) != recipe.digest(other)


def test_the_form_of_the_solver_belongs_to_the_recipe():
    """The forms agree to the solver's tolerance, not to the bit (tests/diffusion/test_observation_system.py)."""
    assert recipe.differences(made(), made(reanalyse={"solver_memory": 4.0})) == [
        "reanalyse.solver_memory: 2.0 in the archive, 4.0 now"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"archive": {"title": "Another", "licence": "CC0-1.0", "replace": True, "netcdf": "mean"}},
        {"reanalyse": {"device": "cpu", "threads": 4, "batch": 2, "retries": 0}},
        {"observe": {"networks": {"sparse10": {"share": 0.1}}}},  # another network went
        {"archive": {"network": "sparse10"}},  # the first one, by name
    ],
)
def test_settings_without_effect_on_values_do_not_change_the_recipe(changes):
    assert recipe.differences(made(), made(**changes)) == []


def test_another_network_or_another_error_of_it_is_another_recipe():
    named = recipe.differences(made(), made(archive={"network": "sparse2"}))
    assert "archive.network: sparse10 in the archive, sparse2 now" in named
    noisier = {"networks": {"sparse10": {"share": 0.1, "noise": 0.1}}}
    assert recipe.differences(made(), made(observe=noisier)) == [
        "observe.networks.sparse10.noise: 0.05 in the archive, 0.1 now"
    ]


def test_only_parts_that_both_have_are_compared():
    """The Snakefile knows the settings, and not yet the prior."""
    now = {"settings": made(reanalyse={"steps": 9})["settings"]}
    assert recipe.differences(json.loads(json.dumps(made())), now) == ["reanalyse.steps: 8 in the archive, 9 now"]


def test_a_store_that_does_not_say_how_it_was_made_is_refused(tmp_path):
    assert recipe.read(tmp_path) is None
    (tmp_path / "zarr.json").write_text(json.dumps({"attributes": {"recipe": "12fb7d28"}}))
    with pytest.raises(UserError, match="has no recipe.*archive.replace: true"):
        recipe.read(tmp_path)


def test_the_snakefile_can_import_it():
    code = "import sys, hindsight.archive.recipe; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "xarray", "pandas", "zarr"} & set(modules)


REPORTS = {"source": "table", "files": ["a.csv"],
           "table": {"values": [{"column": "p", "quantity": "surface_air_pressure", "units": "hPa"}]}}  # fmt: skip
REAL = {"networks": {"mine": {"kind": "reports"}}, "reports": {"mine": REPORTS}}


def test_errors_and_checks_of_real_reports_belong_to_the_recipe():
    before = made(observe=REAL)
    stricter = made(observe=REAL | {"quality": {"neighbours": 3.5}})
    assert [line.split(":")[0] for line in recipe.differences(before, stricter)] == ["observe.quality.neighbours"]
    smaller = made(observe=REAL | {"measurements": [{"error": 50}]})
    assert any(line.startswith("observe.measurements") for line in recipe.differences(before, smaller))
    assert recipe.differences(before, made(observe=REAL | {"quality": {"drift_errors": 3.0}})) == []


def test_a_denial_is_a_correction_and_no_other_recipe():
    denied = {"mine": {"kind": "reports", "denied": [{"station": "A", "reason": "drift"}]}}
    assert recipe.differences(made(observe=REAL), made(observe=REAL | {"networks": denied})) == []
    assert recipe.digest(made(observe=REAL)) == recipe.digest(made(observe=REAL | {"networks": denied}))
