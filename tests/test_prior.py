"""The prior's file, and the prior over a long stretch."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hindsight import prior as priors
from hindsight.diffusion import composed, denoiser, sigmoid
from hindsight.diffusion.modes import Waves
from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.fields.transforms import Transforms
from hindsight.settings import train
from hindsight.settings.preprocess import CensoredLogarithm
from tests.train import helpers


def busy(prior):
    """The prior with a network whose output is not zero."""
    for parameter in prior.network.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return prior.eval()


def with_points():
    """A prior that has learnt observed points."""
    return helpers.prior(helpers.SETTINGS.model_copy(update={"points": train.Points(share=0.5)}))


def on_a_ring():
    """A prior of fields with a single latitude, with the network for lines."""
    shape = train.Backbone(kind="line", width=8, blocks=2, embedding=16, dilations=[1, 2])
    made = helpers.prior()
    about = dataclasses.replace(made.metadata, latitude=[0.0], longitude=list(np.arange(16) * 22.5))
    about = dataclasses.replace(about, backbone=shape.model_dump(mode="json"))
    about = dataclasses.replace(about, edges=["open", "periodic"])
    torch.manual_seed(0)
    return priors.Prior(about, made.process, made.scaling, torch.zeros(3, 1, 16))


def published(**backbone):
    """A small prior in the design of ForcingDAS."""
    chosen = {"size": None, "width": 32, "depth": 2, "heads": 2, "patch": 2} | backbone
    settings = train.Train.model_validate({"design": "forcingdas", "window": 4, "backbone": chosen})
    return helpers.prior(settings.model_copy(update={"precision": "float32"}))


def transformer():
    """The default design with a transformer."""
    shape = train.Backbone(kind="transformer", width=16, depth=2, heads=2, patch=2, embedding=16)
    return helpers.prior(helpers.SETTINGS.model_copy(update={"backbone": shape}))


KINDS = [helpers.prior, helpers.globe, with_points, on_a_ring, published, transformer]


@pytest.mark.parametrize("make", KINDS)
def test_a_prior_is_read_as_it_was_written(tmp_path, make):
    made = busy(make())
    priors.save(made, tmp_path / "p.safetensors")
    found = priors.load(tmp_path / "p.safetensors")
    x, sigma, conditions = torch.randn(2, 4, made.process.size), torch.rand(2, 4) + 0.1, torch.randn(2, 4, 4)
    torch.testing.assert_close(found.denoise(x, sigma, conditions), made.denoise(x, sigma, conditions), rtol=0, atol=0)
    assert found.metadata == made.metadata
    with safe_open(tmp_path / "p.safetensors", "pt") as file:
        assert json.loads(file.metadata()["hindsight"])["channels"] == made.metadata.channels


def test_waves_and_area_weights_are_read_as_written(tmp_path):
    made = helpers.globe()
    priors.save(made, tmp_path / "p.safetensors")
    found = priors.load(tmp_path / "p.safetensors")
    assert isinstance(made.process.modes, Waves) and isinstance(found.process.modes, Waves)
    before, after = made.process.tensors(), found.process.tensors()
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert value.dtype == after[name].dtype and torch.equal(value, after[name]), name
    for name in ("coefficients", "spread", "measure"):
        np.testing.assert_array_equal(getattr(found.scaling, name), getattr(made.scaling, name))
    np.testing.assert_allclose(found.scaling.measure**2, helpers.GLOBE.weights, rtol=1e-12)
    assert torch.equal(found.measure, made.measure) and torch.equal(found.maps, made.maps)


def test_without_area_weights_none_are_read(tmp_path):
    priors.save(helpers.prior(), tmp_path / "p.safetensors")
    found, times = priors.load(tmp_path / "p.safetensors"), np.array(["2000-01-01"], "datetime64[ns]")
    assert found.scaling.measure == 1 and found.measure.shape == (4, 4)
    assert found.scaling.restore(np.ones((1, 1, 4, 4)), times).tolist() == np.ones((1, 1, 4, 4)).tolist()


def test_the_inputs_of_the_network_are_not_weighted_by_area():
    """It gets the fields without the weights, and the maps."""
    made, times = helpers.globe().eval(), np.arange("2000-01-01", "2000-01-05", dtype="datetime64[D]")
    departures = np.random.default_rng(0).standard_normal((4, 2, *helpers.GLOBE.shape)) * [[[3.0]], [[20.0]]]
    fields = torch.tensor(made.scaling.normalise(made.scaling.climatology(times) + departures, times))
    seen = []
    made.network.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    made.correction(fields.flatten(1)[None, :, None].repeat(1, 1, 2, 1), torch.zeros(1, 4), torch.zeros(1, 4, 4))
    expected = torch.tensor(departures / made.scaling.spread[:, None, None], dtype=torch.float32)
    torch.testing.assert_close(seen[0][0, :, :2], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(seen[0][0, :, 2:4], expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(seen[0][0, :, 4:], made.maps.expand(4, *made.maps.shape))


def test_a_correction_is_physically_the_same_for_any_area_weights():
    """One network corrects the same physical fields by the same amount under two area weights."""
    plain, inputs = busy(helpers.globe()), torch.randn(2, 4, 2, 2, *helpers.GLOBE.shape)
    level, conditions = torch.randn(2, 4), torch.randn(2, 4, 4)
    found = []
    for measure in (1.0, np.sqrt(helpers.GLOBE.weights), np.random.default_rng(0).uniform(0.3, 2, (6, 8))):
        scaling = dataclasses.replace(plain.scaling, measure=measure)
        other = busy(priors.Prior(plain.metadata, plain.process, scaling, plain.maps))
        other.network.load_state_dict(plain.network.state_dict())
        weighed = (inputs * torch.as_tensor(measure, dtype=torch.float32)).flatten(3)
        correction = other.correction(weighed, level, conditions).view(2, 4, 2, *helpers.GLOBE.shape).detach()
        found.append(correction.numpy() * scaling.unit)
    assert np.abs(found[0]).max() > 0.1
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-3, atol=1e-4 * np.abs(found[0]).max())


@pytest.mark.parametrize("make", [helpers.prior, helpers.globe])
def test_the_same_prior_gives_the_same_bytes(tmp_path, make):
    for name in "ab":
        priors.save(make(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_that_is_no_prior_is_refused(tmp_path):
    (tmp_path / "p").write_bytes(b"nonsense")
    for name in ("p", "none"):
        with pytest.raises(UserError, match="not a prior"):
            priors.load(tmp_path / name)


def test_a_prior_that_lacks_a_part_is_refused(tmp_path):
    priors.save(helpers.prior(), tmp_path / "p")
    with safe_open(tmp_path / "p", "pt") as file:
        header, parts = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    parts.pop("scaling.measure")
    save_file(parts, tmp_path / "p", header)
    with pytest.raises(UserError, match="not a prior that can be read .*scaling.measure"):
        priors.load(tmp_path / "p")


@pytest.mark.parametrize("make", KINDS)
def test_a_stretch_of_one_window_is_that_window(make):
    prior = busy(make())
    x, sigma, conditions = torch.randn(3, 4, prior.process.size), torch.full((1, 4), 0.7), torch.randn(4, 4)
    whole = prior.denoise_stretch(x, prior.process.posterior(sigma), conditions, [0], 2)
    torch.testing.assert_close(
        whole, prior.denoise(x, sigma.expand(3, 4), conditions.expand(3, 4, 4)), atol=1e-5, rtol=1e-4
    )


def test_far_from_the_ends_of_a_stretch_its_cut_has_no_effect():
    """Two stretches that share frames agree on them, away from their ends."""
    prior = busy(helpers.prior())
    x, conditions = torch.randn(1, 40, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(40, 4)

    def estimate(first, last):
        posterior = prior.process.posterior(torch.full((1, last - first), 0.7))
        windows = composed.starts(first, last - first, 4, 2)
        return prior.denoise_stretch(x[:, first:last], posterior, conditions[first:last], windows, 8)

    whole, left, right = estimate(0, 40), estimate(0, 26), estimate(14, 40)
    for part, frames, shift in ((left, slice(0, 20), 0), (right, slice(20, 40), 14)):
        same = part[:, frames.start - shift : frames.stop - shift]
        assert (same - whole[:, frames]).abs().max() < 0.02 * whole.std()


def test_large_members_are_denoised_one_by_one_with_the_same_result(monkeypatch):
    prior, batches = busy(helpers.prior()), []
    prior.network.register_forward_pre_hook(lambda module, inputs: batches.append(len(inputs[0])))
    x = torch.randn(3, 10, 16, generator=torch.Generator().manual_seed(0))
    posterior = prior.process.posterior(torch.full((1, 10), 0.7))
    estimate = lambda: prior.denoise_stretch(x, posterior, torch.zeros(10, 4), [0, 3, 6], 100)
    together = estimate()
    monkeypatch.setattr(priors, "AT_ONCE", 160)
    torch.testing.assert_close(estimate(), together, rtol=1e-5, atol=1e-5)
    assert batches == [9, 3, 3, 3]


def test_conditions_are_the_phases_of_year_and_day():
    noon = priors.conditions(np.array(["2000-01-01T12", "2000-07-01T12"], "datetime64[ns]"))
    torch.testing.assert_close(noon[:, 2], torch.tensor([-1.0, -1.0]))  # cosine of half a turn
    assert noon[0, 0] > 0.99 and noon[1, 0] < -0.99


def test_maps_have_coordinates_on_the_sphere():
    grid = Grid(np.linspace(-80, 80, 9), np.arange(0, 360, 30.0))
    found = priors.maps(grid, orography=np.random.default_rng(0).random(grid.shape))
    assert found.shape == (4, 9, 12)
    assert found.mean((1, 2)).abs().max() < 1e-5 and (found.std((1, 2), correction=0) - 1).abs().max() < 1e-5
    assert (found[0].diff(dim=0) > 0).all()


def test_a_prior_with_observed_points_always_gets_that_input():
    """Even if there are none; and the points of a stretch are those of its windows."""
    prior, shown = busy(with_points()), []
    prior.network.register_forward_pre_hook(lambda module, arguments: shown.append(arguments[0]))
    x, sigma, conditions = torch.randn(2, 4, 16), torch.full((2, 4), 0.7), torch.zeros(2, 4, 4)
    points = denoiser.Points(torch.randn(1, 4, 16), torch.full((1, 4, 16), 4.0) * (torch.arange(16) % 2))
    without, given = prior.denoise(x, sigma, conditions), prior.denoise(x, sigma, conditions, points)
    assert shown[0].shape[2] == 4 + 3  # four of one channel, and three maps
    level = lambda square: torch.full((2, 4, 4, 4), float(np.log(square) / 8))
    torch.testing.assert_close(shown[0][:, :, 3], level(0.49))
    torch.testing.assert_close(shown[1][:, :, 3].flatten(2)[..., 1], level(1 / (1 / 0.49 + 4))[..., 0, 0])
    assert (given - without).abs().max() > 0.1
    stretch = lambda given: prior.denoise_stretch(
        x, prior.process.posterior(sigma[:1]), conditions[0], [0], 8, points=given, window=4
    )
    torch.testing.assert_close(stretch(points), given, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(stretch(None), without, atol=1e-5, rtol=1e-4)


def test_noise_levels_of_points_are_not_weighted_by_area():
    """Fields lose their area weights, levels stay as they are."""
    settings = helpers.WAVES.model_copy(update={"points": train.Points(share=0.5)})
    made, shown = helpers.globe(settings).eval(), []
    made.network.register_forward_pre_hook(lambda module, arguments: shown.append(arguments[0]))
    inputs = torch.randn(1, 4, 4, 2, *helpers.GLOBE.shape)
    made.correction(inputs.flatten(3), torch.zeros(1, 4), torch.zeros(1, 4, 4))
    seen = shown[0][:, :, :8].view(1, 4, 4, 2, *helpers.GLOBE.shape)
    torch.testing.assert_close(seen[:, :, :3], inputs[:, :, :3] / made.measure)
    assert torch.equal(seen[:, :, 3], inputs[:, :, 3])


def test_frames_in_no_window_get_the_linear_prior():
    prior = busy(helpers.prior())
    x, posterior = torch.randn(2, 9, 16), prior.process.posterior(torch.full((1, 9), 0.7))
    found = prior.denoise_stretch(x, posterior, torch.zeros(9, 4), [5], 8)
    assert torch.equal(found[:, :5], posterior.mean(x)[:, :5])
    assert (found[:, 5:] - posterior.mean(x)[:, 5:]).abs().amax((0, 2)).min() > 1e-3


def test_a_network_for_lines_is_refused_for_fields_with_more_latitudes():
    """It would use the first of them for all."""
    shape = train.Backbone(kind="line", width=8, blocks=1, embedding=16)
    with pytest.raises(UserError, match="single latitude, and these have 4; set kind: unet"):
        helpers.prior(helpers.SETTINGS.model_copy(update={"backbone": shape}))


def test_in_the_published_design_inputs_are_noisy_frames_and_indices():
    made, seen = busy(published()), []
    made.network.register_forward_pre_hook(lambda module, given: seen.append(given))
    noisy, index = torch.randn(2, 4, 16), torch.tensor([[14, 249, 499, 999]] * 2)
    sigma = torch.tensor(sigmoid.sigmas(), dtype=torch.float32)[index]
    found = made.denoise(noisy, sigma, torch.zeros(2, 4, 4))
    ((fields, levels, conditions),) = seen
    assert fields.shape == (2, 4, 1, 4, 4) and conditions.shape == (2, 4, 0)
    torch.testing.assert_close(fields.flatten(2), noisy / (1 + sigma[..., None] ** 2).sqrt())
    torch.testing.assert_close(levels, index.float(), atol=2e-2, rtol=0)
    velocity = made.network(fields, levels, conditions).flatten(2)
    alpha = 1 / (1 + sigma[..., None] ** 2)
    torch.testing.assert_close(found, alpha * noisy - (1 - alpha).sqrt() * velocity, atol=1e-5, rtol=1e-4)


def test_in_the_published_design_no_frame_depends_on_a_later_one():
    made = busy(published())
    for block in made.network.parameters():
        torch.nn.init.normal_(block, std=0.2)
    noisy, sigma, conditions = torch.randn(1, 4, 16), torch.ones(1, 4), torch.zeros(1, 4, 4)
    changed = noisy.clone()
    changed[:, 2] += 1
    gap = (made.denoise(changed, sigma, conditions) - made.denoise(noisy, sigma, conditions)).abs().amax(2)[0]
    assert (gap[:2] == 0).all() and (gap[2:] > 1e-6).all()


def test_the_network_runs_in_the_precision_of_the_prior():
    """bfloat16 is right to three digits."""
    plain, seen = busy(helpers.prior()), []
    fast = busy(helpers.prior(helpers.SETTINGS.model_copy(update={"precision": "bfloat16"})))
    fast.network.load_state_dict(plain.network.state_dict())
    fast.network.register_forward_hook(lambda module, given, output: seen.append(output.dtype))
    inputs, level, conditions = torch.randn(2, 4, 2, 16), torch.randn(2, 4), torch.randn(2, 4, 4)
    found, expected = fast.correction(inputs, level, conditions), plain.correction(inputs, level, conditions)
    assert seen == [torch.bfloat16] and found.dtype == torch.float32
    assert 1e-4 < (found - expected).norm() / expected.norm() < 0.02


def test_windows_may_be_longer_than_in_training():
    prior = busy(helpers.prior())
    x, sigma, conditions = torch.randn(2, 8, 16), torch.full((1, 8), 0.7), torch.randn(8, 4)
    whole = prior.denoise_stretch(x, prior.process.posterior(sigma), conditions, [0], 2, window=8)
    torch.testing.assert_close(
        whole, prior.denoise(x, sigma.expand(2, 8), conditions.expand(2, 8, 4)), atol=1e-5, rtol=1e-4
    )


def test_harmonics_of_the_climatology_are_read_as_written(tmp_path):
    made = helpers.prior()
    scaling = dataclasses.replace(made.scaling, coefficients=np.zeros((5, *helpers.SHAPE)), annual=2, daily=0)
    about = dataclasses.replace(made.metadata, annual_harmonics=2, daily_harmonics=0)
    priors.save(priors.Prior(about, made.process, scaling, made.maps), tmp_path / "p")
    found = priors.load(tmp_path / "p").scaling
    assert (found.annual, found.daily) == (2, 0) and found.coefficients.shape == scaling.coefficients.shape


def test_the_network_gets_a_quarter_of_the_logarithm_of_the_level():
    """As in training."""
    prior, conditions = helpers.prior().eval(), []
    prior.network.register_forward_pre_hook(lambda module, arguments: conditions.append(arguments[1]))
    level = torch.randn(2, 4)
    prior.correction(torch.randn(2, 4, 2, 16), level, torch.randn(2, 4, 4))
    assert torch.equal(conditions[0], level / 4)


def test_priors_without_a_design_are_of_the_default_design(tmp_path):
    made = helpers.prior()
    priors.save(made, tmp_path / "p")
    with safe_open(tmp_path / "p", "pt") as file:
        header, tensors = json.loads(file.metadata()["hindsight"]), {n: file.get_tensor(n) for n in file.keys()}
    header.pop("design")
    save_file(tensors, tmp_path / "old", {"hindsight": json.dumps(header)})
    assert priors.load(tmp_path / "old").metadata == made.metadata


def test_a_linear_prior_that_cannot_be_read_is_told(tmp_path):
    path = tmp_path / "p.safetensors"
    path.write_bytes(b"nothing")
    for _ in range(2):
        with pytest.raises(UserError, match="cannot read the linear prior"):
            priors.read_linear(path, path, path, Grid(np.array([0.0, 1.0]), np.array([0.0, 1.0])))
        save_file({"variance": torch.ones(3)}, path)


@pytest.mark.parametrize(("latitude", "rows"), [([-90, -45, 0, 45, 90], (1, 1)), ([-60, -20, 20, 60], (0, 0))])
def test_a_network_knows_the_rows_on_a_pole_and_the_winds_among_its_inputs(latitude, rows):
    about = dataclasses.replace(helpers.globe().metadata, channels=["u850", "t850", "v850"], latitude=latitude)
    found = priors.poles(about)
    assert found.skipped == rows and sorted(found.turned) == [0, 2, 3, 5]
    assert sorted(priors.poles(dataclasses.replace(about, points=True)).turned) == [0, 2, 3, 5, 6, 8]
    assert sorted(priors.poles(dataclasses.replace(about, design="forcingdas")).turned) == [0, 2]


def test_transforms_are_read_as_written_and_older_priors_have_none(tmp_path):
    plain = helpers.prior()
    chosen = Transforms.build({"rain": CensoredLogarithm(threshold=0.2)}, ["rain"])
    metadata = dataclasses.replace(plain.metadata, transforms=chosen.to_json())
    scaling = dataclasses.replace(plain.scaling, transforms=chosen)
    priors.save(priors.Prior(metadata, plain.process, scaling, plain.maps), tmp_path / "rain.safetensors")
    assert priors.load(tmp_path / "rain.safetensors").scaling.transforms == chosen
    priors.save(plain, tmp_path / "plain.safetensors")
    assert priors.load(tmp_path / "plain.safetensors").scaling.transforms == Transforms()
    with safe_open(tmp_path / "plain.safetensors", "pt") as file:
        assert "transforms" not in json.loads(file.metadata()["hindsight"])
