"""The table at the end of a run."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.verify import table


def test_the_best_analysis_comes_first_with_every_number(scores, tmp_path, capsys):
    crps = {"metric": "crps"}
    scores["score"].loc[crps | {"analysis": "diffusion"}] = 0.1
    scores["score"].loc[{"network": "dense", "metric": "rmse", "analysis": "diffusion", "channel": "msl"}] = 123.4
    scores.to_netcdf(tmp_path / "scores.nc")
    table.run(scores=tmp_path / "scores.nc", report=tmp_path / "report.html")
    text = capsys.readouterr().out
    lines = [line for line in text.splitlines() if line]
    assert lines[0].startswith("dense, 2009 to 2010, 4 members") and lines[4].startswith("diffusion")
    assert "123.4" in lines[4] and lines[-2].endswith("report.html")
    assert lines[-1] == f"Open it in a browser: file://{tmp_path}/report.html"
    assert len({len(line) for line in lines[2:3] + lines[4:7]}) == 1  # columns line up


def test_the_table_says_if_nothing_has_an_interval(scores):
    assert not any("interval" in line for line in table.lines(scores))
    scores["lower"][:] = np.nan
    assert table.lines(scores)[-1] == "No score has a confidence interval: at least 30 scored frames are needed."


def test_missing_scores_are_a_clear_error(tmp_path):
    with pytest.raises(UserError, match="cannot read the scores"):
        table.run(scores=tmp_path / "none.nc", report=tmp_path / "report.html")
