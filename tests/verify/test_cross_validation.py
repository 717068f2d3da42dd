"""Cross-validation: scores over all withheld rows by hand, those of single folds, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.settings import Ensemble, Verify
from hindsight.verify import cross_validation
from tests.verify.test_departures import MEMBERS, table

FOLDS = 3


def folds(folder, shards=2):
    """Feedback of a network whose stations are withheld in turn, in two shards."""
    whole, paths = table(), []
    number = whole["station"].str[1:].astype(int)
    for fold in range(FOLDS):
        coded = whole.assign(code=np.where(number % FOLDS == fold, 1, 0), an_depar=whole["an_depar"] * (1 + fold))
        for shard, part in enumerate(np.array_split(np.arange(len(whole)), shards)):
            paths.append(folder / f"feedback/thin_fold{fold}/diffusion/{shard}.parquet")
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            coded.iloc[part].drop(columns="network").to_parquet(paths[-1])
    return paths


def scored(folder, paths):
    xr.Dataset(coords={"latitude": [30.0, 60.0, 90.0], "longitude": [-5.0, 5.0]}).to_netcdf(folder / "static.nc")
    out = folder / "out.csv"
    cross_validation.run(Ensemble(members=MEMBERS), Verify(), static=folder / "static.nc", feedback=paths, table=out)
    return pd.read_csv(out)


def test_every_station_is_judged_once_by_the_analysis_without_it(tmp_path, capsys):
    found = scored(tmp_path, folds(tmp_path))
    whole = table()
    fold = whole["station"].str[1:].astype(int) % FOLDS
    row = found[(found["region"] == "everywhere") & (found["platform"] == "all")].iloc[0]
    error = whole["an_depar"] * (1 + fold)
    assert row["network"] == "thin" and row["rows"] == len(whole) and row["folds"] == FOLDS
    assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
    assert row["rmse_lower"] < row["rmse"] < row["rmse_upper"]
    of_folds = [np.sqrt((error[fold == k] ** 2).mean()) for k in range(FOLDS)]
    assert [row["least_rmse"], row["greatest_rmse"]] == pytest.approx([min(of_folds), max(of_folds)], rel=1e-5)
    said = capsys.readouterr().out
    assert f"{len(whole):,}" in said and f"{row['rmse']:.4g}" in said


def test_a_station_that_was_withheld_twice_is_refused(tmp_path):
    paths = folds(tmp_path)
    spoilt = pd.read_parquet(paths[0])
    spoilt.assign(code=1).to_parquet(paths[0])
    with pytest.raises(UserError, match="20 station.* were withheld in two folds"):
        scored(tmp_path, paths)


def test_without_folds_the_setting_is_named(tmp_path):
    with pytest.raises(UserError, match="observe.networks.NAME.folds"):
        scored(tmp_path, [])
