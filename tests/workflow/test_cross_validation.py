"""Cross-validation on demand: a network for each fold, and nothing of it in an ordinary run."""

import re
import shutil

import pandas as pd
import pytest

from tests.workflow import runs, test_lorenz96


def with_folds(count=3) -> dict:
    config = test_lorenz96.one_network()
    config["observe"]["networks"]["every2"]["folds"] = count
    return config


def test_an_ordinary_run_makes_no_fold(tmp_path):
    plain = runs.snakemake(tmp_path, with_folds(), "-n").stdout
    assert "_fold" not in plain
    asked = runs.snakemake(tmp_path, with_folds(), "cross_validation", "-n").stdout
    assert set(re.findall(r"every2\w+", asked)) == {f"every2_fold{k}" for k in range(3)}
    assert runs.executed(asked) >= {"simulate", "shard", "baseline", "feedback", "cross_validation"}


@pytest.mark.slow
def test_every_station_is_withheld_once_and_what_was_made_stays(tmp_path):
    folder = shutil.copytree(test_lorenz96.whole(), tmp_path / "ring")
    assert runs.executed(runs.snakemake(folder, with_folds(), "-n").stdout) == {"settings"}
    runs.snakemake(folder, with_folds(), "cross_validation")
    tables = sorted((folder / "results").glob("*/observe/every2_fold*/*.parquet"))
    rows = pd.concat([pd.read_parquet(path).assign(fold=path.parent.name) for path in tables])
    withheld = rows[rows["withheld"]].groupby("station")["fold"].nunique()
    assert (withheld == 1).all() and len(withheld) == rows["station"].nunique() == 20
    (table,) = (folder / "results").glob("*/verify/cross_validation.csv")
    found = pd.read_csv(table).query("region == 'everywhere' and platform == 'all'")
    assert set(found["analysis"]) >= {"diffusion", "climatology"} and (found["folds"] == 3).all()
    assert (found["rows"] == rows["withheld"].sum()).all()
    assert "Nothing to be done" in runs.snakemake(folder, with_folds(), "-n").stdout
