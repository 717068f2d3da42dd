"""The figure of the audit."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from hindsight.train import audit_figure


def one(value, reach=0.05):
    return {"auroc": value, "lower": value - reach, "upper": value + reach}


def level(sigma, share):
    return {
        "sigma": sigma,
        "error": {"training": 0.4, "held_out": 0.4 * share},
        "linear_error": {"training": 0.8, "held_out": 0.8},
        **{name: one(0.5 + 0.1 * k) for k, name in enumerate(audit_figure.MARKS)},
    }


FOUND = {
    "levels": [level(0.05, 1.5), level(1.0, 1.0)],
    "deviation": {"training": [1.0, 2.0, 4.0], "held_out": [0.5, 1.0, 1.5]},
}


def test_the_figure_shows_the_numbers_of_the_audit(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(plt, "close", kept.append)
    audit_figure.draw(FOUND, tmp_path / "audit.png")
    monkeypatch.undo()
    left, middle, right = kept[0].axes
    lines = {line.get_label(): line for line in left.lines}
    np.testing.assert_allclose(lines["training"].get_xdata(), [1, 2, 4])
    np.testing.assert_allclose(lines["held out"].get_ydata(), [0, 0.5, 1])
    points = [container[0].get_ydata() for container in middle.containers]
    np.testing.assert_allclose(points, [[0.5] * 2, [0.6] * 2, [0.7] * 2, [0.8] * 2])
    ratio = {line.get_label(): line.get_ydata() for line in right.lines}
    np.testing.assert_allclose(ratio["training"], [0.5, 0.5])
    np.testing.assert_allclose(ratio["held out"], [0.75, 0.5])
    plt.close(kept[0])


@pytest.mark.parametrize("missing", [None, np.nan])
def test_without_intervals_it_is_drawn_too(tmp_path, missing):
    found = FOUND | {
        "levels": [one_level | {"skill": one(0.5) | {"lower": None, "upper": None}} for one_level in FOUND["levels"]]
    }
    audit_figure.draw(found, tmp_path / "audit.png")
    assert (tmp_path / "audit.png").read_bytes().startswith(b"\x89PNG")
