"""The rules: they lint, they are formatted, and a dry run says what would be done."""

import subprocess
import sys

import pytest
import yaml

from tests.workflow import runs


@pytest.fixture
def config(data):
    return yaml.safe_load((runs.ROOT / "config/europe.yaml").read_text()) | {"data": str(data)}


def test_a_dry_run_of_europe_names_every_stage(config, tmp_path):
    done = runs.snakemake(tmp_path, config, "--dry-run")
    assert runs.executed(done.stdout) == {
        "settings", "request", "sources", "contents", "local", "manifest", "regrid", "join", "moments", "static", "climatology", "statistics",
        "simulate", "usage", "linear_prior", "prior", "audit", "plan", "shard", "covariance", "baseline", "compare", "score", "report", "layout", "write", "check",
        "feedback", "departures", "observations", "break_points", "publish", "explore"}
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_dry_run_of_era5_at_1p5_degrees_names_every_stage(tmp_path):
    """Without a network: the store is read by the jobs."""
    config = yaml.safe_load((runs.ROOT / "config/era5_1p5.yaml").read_text())
    done = runs.snakemake(tmp_path, config, "--dry-run")
    assert {"bucket", "manifest", "regrid", "simulate", "linear_prior", "prior", "shard", "compare", "publish"} <= runs.executed(done.stdout)
    assert "covariance" not in runs.executed(done.stdout)  # of all values it would take 16 TB


def test_analyses_wait_for_the_audit_where_it_has_a_limit(config, tmp_path):
    for limit in ({}, {"train": config["train"] | {"audit": {"limit": 0.7}}}):
        done = runs.snakemake(tmp_path, config | limit, "plans", "--dry-run")
        assert ("audit" in runs.executed(done.stdout)) == bool(limit)


def test_a_controller_is_trained_where_the_guidance_needs_one(tmp_path):
    config = yaml.safe_load((runs.ROOT / "config/kuramoto_sivashinsky.yaml").read_text())
    assert "controller" not in runs.executed(runs.snakemake(tmp_path, config, "reanalyse", "--dry-run").stdout)
    config["reanalyse"] |= {"regime": "nowcast", "past": "fixed", "guidance": {"method": "controlled"}}
    assert {"prior", "controller", "plan", "shard"} <= runs.executed(runs.snakemake(tmp_path, config, "reanalyse", "--dry-run").stdout)


def test_the_prior_is_audited_where_analyses_are_steered(tmp_path):
    config = yaml.safe_load((runs.ROOT / "config/kuramoto_sivashinsky.yaml").read_text())
    config["reanalyse"] |= {"steering": {"strength": 4}}
    done = runs.snakemake(tmp_path, config, "reanalyse", "--dry-run")
    assert "audit" in runs.executed(done.stdout) and "steering.safetensors" in done.stdout


def test_every_stage_is_a_target(config, tmp_path):
    stages = "download preprocess observe train reanalyse baselines verify archive plans".split()
    runs.snakemake(tmp_path, config, *stages, "--dry-run")


def test_the_rules_lint(config, tmp_path):
    """One environment is installed once for all, so a rule has none of its own."""
    done = runs.snakemake(tmp_path, config, "--lint", check=False)
    complaints = [line for line in done.stdout.splitlines() if line.strip().startswith("* ")]
    assert [c for c in complaints if "conda environment" not in c] == [], done.stdout


def test_the_rules_and_the_code_are_formatted():
    files = [runs.ROOT / "Snakefile", runs.ROOT / "workflow"]
    done = subprocess.run([sys.executable, "-m", "snakefmt", "--check", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *check, "src", "tests", "benchmarks"], capture_output=True,
                              text=True, cwd=runs.ROOT)
        assert done.returncode == 0, done.stdout[-3000:]
