"""The training step, from files to a file."""

import csv
import json

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors import safe_open

from hindsight import prior as priors
from hindsight.diffusion.modes import Waves
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.preprocess import canonical, climatology, statistics
from hindsight.settings import Preprocess, Train
from hindsight.settings.train import Colour
from hindsight.train import colour, windows
from hindsight.train import prior as step

SETTINGS = Train.model_validate(
    {
        "window": 4,
        "steps": 3,
        "batch": 2,
        "threads": 1,
        "validate_every": 2,
        "checkpoint_every": 2,
        "colour": {"coupled_modes": 5},
        "backbone": {"width": 8, "multipliers": [1], "blocks": 1},
    }
)


def files_of(source, domain, tmp_path, settings):
    """What the steps before leave of a source, in a folder."""
    files = {
        name: tmp_path / name
        for name in (
            "fields.zarr",
            "climatology.nc",
            "statistics.nc",
            "static.nc",
            "colour",
            "checkpoint",
            "prior",
            "tensorboard",
            "curve.csv",
            "curve.png",
        )
    }
    files["fields.zarr"] = files["fields.zarr"] / "zarr.json"
    store.write(canonical.canonical(source, domain, "x"), files["fields.zarr"])
    fields, harmonic, spread = (files[n] for n in ("fields.zarr", "climatology.nc", "statistics.nc"))
    climatology.run(domain, Preprocess(annual_harmonics=1), fields=fields, climatology=harmonic)
    statistics.run(domain, fields=fields, climatology=harmonic, statistics=spread)
    land = xr.DataArray(np.eye(6, 8, dtype="float32"), dims=("latitude", "longitude"))
    xr.Dataset({"land": land}).to_netcdf(files["static.nc"])
    colour.run(domain, settings, fields=fields, climatology=harmonic, statistics=spread, colour=files["colour"])
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
        colour=made["colour"],
        checkpoint=made["checkpoint"],
        prior=made["prior"],
        tensorboard=made["tensorboard"],
        curve=made["curve.csv"],
        figure=made["curve.png"],
    )


def test_a_prior_knows_what_it_was_made_for_and_from(domain, made):
    train(domain, made)
    prior = priors.load(made["prior"])
    assert prior.about.channels == ["z500", "t850"] and prior.about.grid.shape == (6, 8) and len(prior.maps) == 4
    digest = json.loads(made["fields.zarr"].read_text())["attributes"]["digest"]
    assert prior.about.made_from["fields.zarr"] == digest and len(prior.about.made_from) == 5
    rows = list(csv.DictReader(made["curve.csv"].open()))
    assert [int(row["step"]) for row in rows] == [0, 2, 3]


def test_the_same_inputs_give_the_same_bytes(domain, made):
    train(domain, made)
    before = made["prior"].read_bytes()
    made["checkpoint"].unlink()
    train(domain, made)
    assert made["prior"].read_bytes() == before


def test_other_settings_do_not_take_up_the_old_checkpoint(domain, made):
    train(domain, made)
    train(domain, made, SETTINGS.model_copy(update={"steps": 2}))
    with safe_open(made["checkpoint"], "pt") as file:
        assert json.loads(file.metadata()["hindsight"])["step"] == 2


def test_a_learning_rate_that_blows_up_says_what_to_do(domain, made):
    with pytest.raises(UserError, match="lower train.learning_rate"):
        train(domain, made, SETTINGS.model_copy(update={"learning_rate": 1e30, "steps": 6, "warmup": 1}))


def test_round_the_globe_a_prior_is_of_waves_and_carries_its_measure(source, domain, tmp_path):
    """It learns from what its own scaling makes of the fields, and its modes hold the variance that they say."""
    settings = SETTINGS.model_copy(update={"colour": Colour(basis="waves", coupled_modes=3)})
    domain = domain.model_copy(update={"latitude_edges": "pole", "longitude_edges": "periodic"})
    east, north = np.arange(8) * 45.0, np.linspace(75, -75, 6)
    made = files_of(source.assign_coords(lat=north, lon=east), domain, tmp_path, settings)
    train(domain, made, settings)
    prior = priors.load(made["prior"])
    assert isinstance(prior.process.modes, Waves) and prior.about.edges == ["pole", "periodic"]
    area = np.diff(np.sin(np.deg2rad(np.linspace(-90, 90, 7))))
    expected = np.tile(area[:, None] / area.mean(), (1, 8))
    np.testing.assert_allclose(prior.scaling.measure**2, expected, rtol=1e-6)
    np.testing.assert_allclose(prior.measure**2, expected, rtol=1e-6)
    inputs = [made[name] for name in ("fields.zarr", "climatology.nc", "statistics.nc")]
    times, _, values = windows.departures(domain, settings, "train", *inputs)
    fields = store.read(made["fields.zarr"])["fields"].sel(time=times).values
    np.testing.assert_array_equal(values, prior.scaling.normalise(fields, times))
    held = prior.process.modes.into(torch.from_numpy(values).flatten(1)).square().mean(0)
    assert held.sum().item() == pytest.approx(prior.process.variance[held > 0].sum().item(), rel=1e-3)
