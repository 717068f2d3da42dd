"""The training step, from files to a file."""

import csv
import hashlib
import json

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors import safe_open

from hindsight import cli, settings
from hindsight import prior as priors
from hindsight.diffusion.modes import Waves
from hindsight.errors import UserError
from hindsight.fields import analyses, observations, store
from hindsight.fields.grid import Grid
from hindsight.observe import simulate
from hindsight.settings import Observe, Settings, Train
from hindsight.settings.domain import TrainingDomain
from hindsight.settings.train import Audit, LinearPrior
from hindsight.train import linear_prior, memory, windows
from hindsight.train import prior as step
from tests.preprocess.worlds import fields_of, preprocessed

SETTINGS = Train.model_validate(
    {
        "window": 4,
        "steps": 3,
        "batch": 2,
        "threads": 1,
        "validate_every": 2,
        "checkpoint_every": 2,
        "linear_prior": {"coupled_modes": 5},
        "backbone": {"width": 8, "multipliers": [1], "blocks": 1},
    }
)


def files_of(source, domain, tmp_path, settings):
    """Run the steps before training on a source, in a folder."""
    files = {
        name: tmp_path / name
        for name in (
            "fields.zarr",
            "climatology.nc",
            "statistics.nc",
            "static.nc",
            "linear_prior",
            "checkpoint",
            "prior",
            "tensorboard",
            "curve.csv",
            "curve.png",
        )
    }
    files["fields.zarr"] = files["fields.zarr"] / "zarr.json"
    fields, harmonic, spread = preprocessed(fields_of(source, domain), domain, tmp_path)
    land = xr.DataArray(np.eye(6, 8, dtype="float32"), dims=("latitude", "longitude"))
    xr.Dataset({"land": land}).to_netcdf(files["static.nc"])
    linear_prior.run(
        domain, settings, fields=fields, climatology=harmonic, statistics=spread, linear_prior=files["linear_prior"]
    )
    return files


@pytest.fixture
def made(source, domain, tmp_path):
    return files_of(source, domain, tmp_path, SETTINGS)


def train(domain, made, settings=SETTINGS):
    step.run(
        domain,
        settings,
        fields=made["fields.zarr"],
        climatology=made["climatology.nc"],
        statistics=made["statistics.nc"],
        static=made["static.nc"],
        linear_prior=made["linear_prior"],
        checkpoint=made["checkpoint"],
        prior=made["prior"],
        tensorboard=made["tensorboard"],
        curve=made["curve.csv"],
        figure=made["curve.png"],
    )


def test_a_prior_has_the_metadata_of_its_fields_and_inputs(domain, made):
    train(domain, made)
    prior = priors.load(made["prior"])
    assert prior.metadata.channels == ["z500", "t850"] and prior.metadata.grid.shape == (6, 8) and len(prior.maps) == 4
    digest = hashlib.sha256(made["statistics.nc"].read_bytes()).hexdigest()
    assert prior.metadata.made_from["statistics.nc"] == digest and len(prior.metadata.made_from) == 4
    rows = list(csv.DictReader(made["curve.csv"].open()))
    assert [int(row["step"]) for row in rows] == [0, 2, 3]


def test_the_same_inputs_give_the_same_bytes(domain, made):
    train(domain, made)
    before = made["prior"].read_bytes()
    made["checkpoint"].unlink()
    train(domain, made)
    assert made["prior"].read_bytes() == before


def test_more_frames_of_other_periods_do_not_restart_training(domain, made, capsys):
    train(domain, made)
    before, curve = made["prior"].read_bytes(), made["curve.csv"].read_bytes()
    whole = store.read(made["fields.zarr"]).load()
    later = whole["time"] > np.datetime64(domain.test.start)
    store.write(whole.assign(fields=whole["fields"].where(~later, 0.0)), made["fields.zarr"])
    stamp = made["checkpoint"].stat().st_mtime_ns
    train(domain, made)
    assert (made["prior"].read_bytes(), made["curve.csv"].read_bytes()) == (before, curve)
    assert made["checkpoint"].stat().st_mtime_ns == stamp and "starts anew" not in capsys.readouterr().out
    longer = domain.model_copy(update={"validation": domain.validation.model_copy(update={"end": domain.test.start})})
    train(longer, made)
    assert "training.validation.end" in capsys.readouterr().out


def test_another_audit_does_not_restart_training(domain, made, capsys):
    train(domain, made)
    before = made["prior"].read_bytes()
    train(domain, made, SETTINGS.model_copy(update={"audit": Audit(limit=0.7)}))
    assert made["prior"].read_bytes() == before and "starts anew" not in capsys.readouterr().out


def test_other_settings_do_not_resume_the_checkpoint(domain, made):
    train(domain, made)
    train(domain, made, SETTINGS.model_copy(update={"steps": 2}))
    with safe_open(made["checkpoint"], "pt") as file:
        assert json.loads(file.metadata()["hindsight"])["step"] == 2


def test_the_error_of_a_diverging_training_says_what_to_do(domain, made):
    with pytest.raises(UserError, match="lower train.learning_rate"):
        train(domain, made, SETTINGS.model_copy(update={"learning_rate": 1e30, "steps": 6, "warmup": 1}))


def test_on_a_globe_a_prior_has_waves_and_weights_by_area(source, domain, tmp_path):
    """It is trained on fields normalised by its scaling, and its modes have their nominal variance."""
    settings = SETTINGS.model_copy(update={"linear_prior": LinearPrior(basis="waves", coupled_modes=3)})
    domain = domain.model_copy(update={"latitude_edges": "pole", "longitude_edges": "periodic"})
    east, north = np.arange(8) * 45.0, np.linspace(75, -75, 6)
    made = files_of(source.assign_coords(lat=north, lon=east), domain, tmp_path, settings)
    train(domain, made, settings)
    prior = priors.load(made["prior"])
    assert isinstance(prior.process.modes, Waves) and prior.metadata.edges == ["pole", "periodic"]
    area = np.diff(np.sin(np.deg2rad(np.linspace(-90, 90, 7))))
    expected = np.tile(area[:, None] / area.mean(), (1, 8))
    np.testing.assert_allclose(prior.scaling.measure**2, expected, rtol=1e-6)
    np.testing.assert_allclose(prior.measure**2, expected, rtol=1e-6)
    inputs = [made[name] for name in ("fields.zarr", "climatology.nc", "statistics.nc")]
    seen = windows.scaling_for(settings, prior.metadata.grid, *inputs[1:])
    values = step.windows(domain, settings, "train", inputs[0], seen).read(0, 366)
    fields = store.read(made["fields.zarr"])["fields"][:366]
    normalised = prior.scaling.normalise(fields.values, fields["time"].values)
    np.testing.assert_array_equal(values, normalised.reshape(366, -1))
    held = prior.process.modes.project(torch.from_numpy(values)).square().mean(0)
    assert held.sum().item() == pytest.approx(prior.process.variance[held > 0].sum().item(), rel=1e-3)


PRODUCT = {"members": 4, "member_block": 4, "shard_frames": 28}


def error_of(step, sections, options, folder, capsys):
    """Run a step by its command, and return its error message if it ends with status 2."""
    file = folder / f"{step}.json"
    file.write_text(json.dumps(sections))
    capsys.readouterr()
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    code = cli.main([step, "--settings", str(file), *words])
    said = capsys.readouterr()
    print(said.out)
    return {0: "", 2: said.err}[code]


def refused(domain, made, changes, capsys):
    """Error message of `hindsight train.prior` for invalid settings, which writes nothing."""
    names = {"fields": "fields.zarr", "climatology": "climatology.nc", "statistics": "statistics.nc"}
    names |= {"static": "static.nc", "curve": "curve.csv", "figure": "curve.png"}
    names |= {name: name for name in ("linear_prior", "checkpoint", "prior", "tensorboard")}
    chosen = SETTINGS.model_dump(mode="json") | changes.pop("train", {})
    training = TrainingDomain.model_validate({name: getattr(domain, name) for name in TrainingDomain.model_fields})
    sections = {"training_domain": training.model_dump(mode="json") | changes, "train": chosen}
    said = error_of("train.prior", sections, {n: made[f] for n, f in names.items()}, made["prior"].parent, capsys)
    assert said and not made["prior"].exists() and not made["checkpoint"].exists()
    return said


def nowhere(year):
    return {"start": f"{year}-01-01T12:00", "end": f"{year}-12-31T12:00"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"train": {"window": 40}},
            "the validation period has 31 frames, fewer than a window (train.window = 40); lengthen",
        ),
        (
            {"validation": nowhere(2005)},
            "has no frame from 2005-01-01 to 2005-12-31 (it has 2000-01-01 to 2001-02-28)",
        ),
        (
            {"train": {"batch": 3, "accumulate": 2}},
            "batch (3) must be a multiple of processes (1) times accumulate (2)",
        ),
        ({"train": {"processes": 2}}, "train.processes is 2 and 1 process(es) were started; start them with torchrun"),
        (
            {"train": {"design": "forcingdas", "linear_prior": {"form": "white"}}},
            "backbone.kind: unet needs design: hindsight",
        ),
    ],
)
def test_invalid_settings_are_refused_in_a_sentence(domain, made, capsys, changes, says):
    said = refused(domain, made, dict(changes), capsys)
    assert says in said and said.startswith("hindsight train.prior: ")
    assert said.count("\n") == (2 if "has mistakes" in said else 1)  # those in settings are a list


@pytest.mark.parametrize(
    ("room", "says"),
    [
        (1.5e9, "2 windows at once need about 2.0 GB, 1.5 are free, and 1 would fit: lower train.batch"),
        (0.5e9, "and not even one fits: set train.recompute: true"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_before_the_first_step(domain, made, capsys, monkeypatch, room, says):
    monkeypatch.setattr(memory, "free", lambda device: room)
    monkeypatch.setattr(memory, "activations", lambda loss, window: 10**9)
    said = refused(domain, made, {}, capsys)
    assert says in said and said.count("\n") == 1


def analysed(prior, domain, table, made, folder, capsys):
    """Analyse one shard of the test period by `hindsight reanalyse.shard`; its error message, or the analysis."""
    observations.write(table, folder / "seen")
    chosen = Settings(domain=domain, product=PRODUCT, archive={"chunk_frames": 28})
    chosen = chosen.model_copy(update={"reanalyse": settings.Reanalyse(steps=4, stride=2, batch=16)})
    cut = "20010201T12_28"
    options = {"prior": prior, "observations": folder / "seen", "shard": cut, "stretch": cut, "members": "0-3"}
    options |= {name: made[f"{name}.nc"] for name in ("climatology", "statistics")}
    options["analysis"] = folder / "analysis.nc"
    sections = json.loads(settings.stage_settings(chosen, "reanalyse"))
    return error_of("reanalyse.shard", sections, options, folder, capsys) or analyses.read([options["analysis"]])


def seen(made, domain):
    """Observations of every second point of the test period, with errors of a hundredth of the spread."""
    truth = store.read(made["fields.zarr"])["fields"].sel(time=slice(domain.test.start, domain.test.end))
    spread = xr.load_dataset(made["statistics.nc"])["spread"].values
    network = Observe.model_validate({"networks": {"n": {"kind": "regular", "every": 2, "noise": 0.01, "withheld": 0}}})
    spec, seed = network.networks["n"], np.random.SeedSequence(1)
    places = simulate.networks.stations(spec, Grid.of(truth), np.random.default_rng(seed), None, xr.Dataset())
    return simulate.simulate(truth, places, 0.01 * spread, seed, spec, 24).assign(source="s"), truth, spread


def trained(source, domain, folder):
    """Make a small run of a source."""
    folder.mkdir()
    made = files_of(source, domain, folder, SETTINGS)
    train(domain, made)
    return made


def test_a_prior_of_other_channels_or_of_another_region_is_refused(source, domain, tmp_path, capsys):
    """As a wrong path would, with the priors of two runs swapped."""
    made = trained(source, domain, tmp_path / "made")
    table, *_ = seen(made, domain)
    fewer = trained(source, domain.model_copy(update={"channels": ["z500"]}), tmp_path / "fewer")
    moved = trained(source.assign_coords(lat=source["lat"] + 1), domain, tmp_path / "moved")
    for other, asked, says in (
        (fewer, domain, "trained for channels ['z500'], and the domain asks for ['z500', 't850']; train again"),
        (made, domain.model_copy(update={"south": 44.0}), "latitudes 40 to 50, and the domain asks for 44 to 50"),
        (moved, domain, "points from 41 to 51 N and -7 to 7 E, and the fields are on a grid of 6 x 8 points from 40"),
    ):
        said = analysed(other["prior"], asked, table, made, tmp_path, capsys)
        assert says in said and said.count("\n") == 1 and not (tmp_path / "analysis.nc").exists()


def test_a_prior_uses_its_own_scaling_in_the_analysis_of_another_run(source, domain, tmp_path, capsys):
    """The other run has another climatology and spread; dense observations are fitted in physical units."""
    own = np.random.default_rng(1).standard_normal(source["t"].shape)  # otherwise one channel tells the other
    source = source.assign(t=source["t"] + own)
    made = trained(source, domain, tmp_path / "made")
    table, truth, spread = seen(made, domain)
    other = trained(source.assign(z=1.5 * source["z"] - 26900, t=1.5 * source["t"] + 0.2), domain, tmp_path / "other")
    places = {name: sorted(table[name].unique()) for name in ("latitude", "longitude")}
    for prior in (made["prior"], other["prior"]):
        found = analysed(prior, domain, table, made, tmp_path, capsys)["analysis"].mean("realization")
        assert ("has its own scaling" in capsys.readouterr().out) == (prior is other["prior"])
        wrong = (found - truth).sel(places).transpose("channel", ...).values.reshape(2, -1)
        assert (np.sqrt((wrong**2).mean(1)) < 0.05 * spread).all()
