"""The benchmark of memorisation and steering: of an audit's file, and of the analyses of a finished run."""

import sys

import pytest
import torch

from tests.workflow import runs, test_lorenz96


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    sys.modules.pop("audit", None)
    import audit

    yield audit
    sys.path.remove(str(runs.ROOT / "benchmarks"))


def test_an_audit_is_summed_up_by_what_it_judges_by(benchmark):
    value = {"auroc": 0.7, "lower": 0.6, "upper": 0.8, "more": 1}
    found = {"judged": {"skill": value}, "levels": [{"excess": 1.2}, {"excess": 1.1}]}
    found |= {"neighbours": {"fields": {"copies": 2}}}
    expected = {"skill": {"auroc": 0.7, "lower": 0.6, "upper": 0.8}, "excess": 1.2, "copies": 2}
    assert benchmark.summary(found) == expected


def test_the_analyses_of_a_finished_run_are_steered(benchmark, monkeypatch):
    run, of_run = test_lorenz96.whole() / "results/lorenz96", benchmark.of_run

    def busy(*arguments):
        """A network of two training steps does next to nothing: this one does something."""
        chosen, case = of_run(*arguments)
        for parameter in case.prior.network.parameters():
            if parameter.abs().max() < 0.01:
                torch.nn.init.normal_(parameter, std=0.05)
        return chosen, case

    monkeypatch.setattr(benchmark, "of_run", busy)
    monkeypatch.setattr(benchmark, "STRENGTHS", (0.0, 1e-6, 1e3))
    torch.manual_seed(0)
    found = benchmark.steered(run, 12, 2)
    assert found[0.0] == 1 and found[1e-6] == pytest.approx(1, abs=1e-3) and abs(found[1e3] - 1) > 5e-4


@pytest.mark.slow
def test_samples_of_the_memoriser_are_farther_from_its_frames_the_more_it_is_steered(benchmark):
    found = benchmark.memoriser()
    assert found["skill"]["auroc"] > 0.9
    away = list(found["distance"].values())
    assert away[0] < 0.95 and away == sorted(away)
