"""Metrics of training."""

import csv
import math

import numpy as np
from matplotlib import pyplot as plt
from tensorboardX.proto import event_pb2

from hindsight.train.metrics import MetricsWriter, draw

ROWS = [
    {"step": 0, "loss": math.nan, "sigma_0.1": 0.10, "sigma_1": 0.50},
    {"step": 10, "loss": 0.9, "sigma_0.1": 0.09, "sigma_1": 0.30},
    {"step": 20, "loss": 0.7, "sigma_0.1": 0.08, "sigma_1": 0.20},
]


def events(folder):
    """What the event files of a folder hold: records are a length, its checksum, a message, its checksum."""
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            yield event_pb2.Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]


def scalars(folder):
    return [(v.tag, event.step, round(v.simple_value, 4)) for event in events(folder) for v in event.summary.value]


def test_a_validation_writes_a_table_a_figure_and_scalars(tmp_path):
    writer = MetricsWriter(tmp_path / "curve.csv", tmp_path / "curve.png", tmp_path / "board")
    writer.validation(ROWS[:1])
    writer.step(1, loss=0.95, learning_rate=0.001)
    writer.validation(ROWS)
    writer.close()
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    assert [float(row["sigma_1"]) for row in rows] == [0.5, 0.3, 0.2] and rows[0]["loss"] == "nan"
    found = scalars(tmp_path / "board")
    assert ("train/loss", 1, 0.95) in found and ("train/learning_rate", 1, 0.001) in found
    assert ("validation/sigma_1", 0, 0.5) in found and ("validation/sigma_1", 20, 0.2) in found


def test_the_figure_is_reproducible_and_depends_on_the_curve(tmp_path):
    draw(ROWS, tmp_path / "a.png")
    draw(ROWS, tmp_path / "b.png")
    draw(ROWS[:2], tmp_path / "c.png")
    a, b, c = (plt.imread(tmp_path / f"{name}.png") for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert a.shape != c.shape or not np.array_equal(a, c)


def test_scalars_after_the_resumed_step_are_discarded(tmp_path):
    """TensorBoard leaves out what a session-start event with an earlier step comes after."""
    MetricsWriter(tmp_path / "c", tmp_path / "p.png", tmp_path / "board", done=7).close()
    starts = [e.step for e in events(tmp_path / "board") if e.session_log.status == event_pb2.SessionLog.START]
    assert starts == [7]


def test_errors_by_kind_are_in_figure_and_scalars(tmp_path):
    """Also if the first rows of the curve lack them."""
    writer = MetricsWriter(tmp_path / "curve.csv", tmp_path / "curve.png", tmp_path / "board")
    rows = [ROWS[0], *({**row, "kind_staircase": 0.9} for row in ROWS[1:])]
    writer.validation(rows)
    found = [row["kind_staircase"] for row in csv.DictReader((tmp_path / "curve.csv").open())]
    assert found == ["", "0.9", "0.9"]
    writer.validation(rows[1:])
    writer.close()
    assert ("validation/kind_staircase", 20, 0.9) in scalars(tmp_path / "board")
    draw(ROWS[1:], tmp_path / "without.png")
    assert (tmp_path / "without.png").read_bytes() != (tmp_path / "curve.png").read_bytes()
