"""`hindsight where`: in a clone and in an installed package."""

from pathlib import Path

import pytest

from hindsight import cli, where

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("words", "place"), [([], "Snakefile"), (["profiles"], "profiles"), (["config"], "config")])
def test_a_clone_has_the_workflow_in_its_root(words, place, capsys):
    assert cli.main(["where", *words]) == 0
    assert capsys.readouterr().out == f"{ROOT / place}\n" and (ROOT / place).exists()


def test_an_installed_package_has_the_workflow_inside(tmp_path):
    (tmp_path / "hindsight/share").mkdir(parents=True)
    assert where.path("snakefile", tmp_path / "hindsight") == tmp_path / "hindsight/share/Snakefile"


def test_an_unknown_place_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["where", "nowhere"])
    assert "invalid choice: 'nowhere'" in capsys.readouterr().err
