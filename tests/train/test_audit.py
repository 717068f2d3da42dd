"""The audit of a prior: memorisation is found where it was made, and a copy where it was planted."""

import hashlib
import json

import numpy as np
import pytest
import torch
import xarray as xr

from hindsight import prior as priors
from hindsight.diffusion import denoiser
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.settings.steering import Steering as Steered
from hindsight.settings.train import Audit, Backbone, LinearPrior
from hindsight.steering import Steering, load
from hindsight.train import audit, linear_prior, loop, responses
from tests.train import helpers
from tests.train.test_prior import SETTINGS, files_of, made, train  # noqa: F401 (`made` is a fixture)

WINDOW = 4
VIDEO = helpers.SETTINGS.model_copy(
    update={
        "steps": 400,
        "batch": 16,
        "warmup": 50,
        "checkpoint_every": 10**6,
        "validate_every": 10**6,
        "average": 0.98,
        "keep": "last",
        "sigma_max": 10.0,
        "backbone": Backbone(width=32, multipliers=[1], blocks=2, embedding=32),
        "audit": Audit(windows=48),
        "linear_prior": LinearPrior(coupled_modes=4, parts=1),  # as in the table of the docs
    }
)


def days(count, start="2000-01-01T12"):
    return np.datetime64(start, "ns") + np.arange(count) * np.timedelta64(1, "D")


def held_out():
    return helpers.of(days(400, "2040-01-01T12"), helpers.two_states(400, 5), WINDOW)


def trained(fields, segment, folder, **changed):
    """Train a prior of some frames; the prior and its windows."""
    settings, process = VIDEO.model_copy(update=changed), VIDEO.linear_prior
    process = linear_prior.fit(helpers.Held(fields, helpers.GRID, segment), process)
    torch.manual_seed(0)
    scaling = Scaling(np.zeros((1, *helpers.SHAPE)), np.ones(1), 0, 0)
    about = helpers.metadata_of(settings, ["z500"], helpers.GRID, ["open", "open"])
    prior = priors.Prior(about, process, scaling, torch.zeros(3, 4, 4))
    seen = helpers.of(days(len(fields)), fields, WINDOW, segment=segment)
    prior, _ = loop.train(prior, seen, held_out(), settings, folder / "checkpoint", {})
    return prior.eval(), seen


def measured(prior, seen):
    later = held_out()
    return audit.measure(prior, seen, later, VIDEO, audit.respond(prior, seen, later, VIDEO))


def few_windows(folder):
    """A prior of twenty windows, far from each other in time, and the windows."""
    fields = helpers.two_states(20 * 6 * WINDOW, 0).reshape(20, 6 * WINDOW, *helpers.SHAPE)[:, :WINDOW]
    return trained(fields.reshape(-1, *helpers.SHAPE), np.repeat(np.arange(20), WINDOW), folder)


@pytest.fixture(scope="module")
def memoriser(tmp_path_factory):
    return few_windows(tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def memorised(memoriser):
    """Its audit."""
    return measured(*memoriser)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """The same with four thousand frames."""
    prior, seen = trained(helpers.two_states(4000, 0), None, tmp_path_factory.mktemp("many"))
    return measured(prior, seen)


def test_a_prior_of_twenty_windows_is_flagged_by_its_errors(memorised):
    """Beside a closed form the representation says little: its AUROC is reported, and need not be large."""
    assert memorised["judged"]["skill"]["auroc"] > 0.9
    assert max(level["excess"] for level in memorised["levels"]) > 1.1
    assert "skill beside the linear prior: " in audit.refusal(memorised, 0.7)


@torch.no_grad()
def samples(prior, count=64, steps=16):
    """Frames (N, D) of samples of a prior, by deterministic steps from noise of level 10."""
    levels = [*np.geomspace(10, 0.02, steps), 0.0]
    noisy = 10 * torch.randn(count, WINDOW, 16, generator=torch.Generator().manual_seed(0))
    for above, below in zip(levels, levels[1:]):
        clean = prior.denoise(noisy, torch.full((count, WINDOW), above), torch.zeros(count, WINDOW, 4))
        noisy = clean + below / above * (noisy - clean)
    return noisy.flatten(0, 1)


def distance(frames, stored):
    """Median distance of frames (N, D) to the nearest of others."""
    return torch.cdist(frames, stored).min(1).values.median().item()


def test_the_more_a_prior_is_steered_the_farther_its_samples_are_from_the_frames_that_it_stored(memoriser):
    prior, seen = memoriser
    found = audit.directions(audit.respond(prior, seen, held_out(), VIDEO))
    stored, away = torch.tensor(seen.read(0, 80)), []
    for strength in (0.0, 8.0, 16.0, 32.0):
        prior.steering = Steering(found, Steered(strength=strength))
        away.append(distance(samples(prior), stored))
    prior.steering = None
    new = distance(torch.tensor(held_out().read(0, 400)), stored)
    assert away == sorted(away) and away[0] < 0.95 * new and away[-1] > 1.05 * away[0], away


@pytest.mark.slow
def test_a_prior_of_many_frames_is_not_flagged_although_it_has_learnt(learnt):
    assert all(value["auroc"] < 0.6 for value in learnt["judged"].values())
    assert audit.refusal(learnt, 0.7) == ""
    level = next(level for level in learnt["levels"] if level["sigma"] == 1)
    assert level["error"]["held_out"] < 0.65 * level["linear_error"]["held_out"]


def test_neighbours_are_those_of_all_pairs_that_are_away_in_time():
    fields, others = helpers.two_states(120, 1), helpers.two_states(50, 2)
    masked = [7, *range(40, 60)]
    seen = helpers.of(days(120), fields, WINDOW, segment=np.where(np.isin(np.arange(120), masked), -1, 0))
    later = helpers.of(days(50, "2000-04-25T12"), others, WINDOW)  # begins five days before the training period ends
    about = helpers.metadata_of(VIDEO, ["z500"], helpers.GRID, ["open", "open"])
    found = audit.neighbours_in_fields(seen, later, about, Audit())
    distance = lambda a, b: np.linalg.norm((a[:, None] - b[None]).reshape(len(a), len(b), -1), axis=-1)
    apart = lambda a, b: np.abs((a[:, None] - b[None]) / np.timedelta64(1, "D")) >= 2 * WINDOW
    every = np.delete(np.arange(120), masked)
    near = [
        np.where(apart(times, seen.times[every]), distance(values, fields[every]), np.inf).min(1)
        for times, values in ((seen.times[every], fields[every]), (later.times, others))
    ]
    medians = [np.median(values) for values in near]
    assert found["training"] == pytest.approx(medians[0], rel=1e-5)
    assert found["held_out"] == pytest.approx(medians[1], rel=1e-5)
    assert found["ratio"] == pytest.approx(medians[1] / medians[0], rel=1e-5) and found["copies"] == 0
    assert found["compared"] == {"training": 99, "of": 99, "held_out": 50}
    assert found["closest"][0]["distance"] == pytest.approx(near[1].min() / medians[0], rel=1e-5)
    assert found["closest"][0]["held_out"] == str(later.times[near[1].argmin()])[:16]


def test_a_planted_copy_among_held_out_frames_is_found():
    fields, others = helpers.two_states(700, 1), helpers.two_states(60, 2)
    others[33] = fields[451] * 1.001
    seen, later = helpers.of(days(700), fields, WINDOW), helpers.of(days(60, "2040-01-01T12"), others, WINDOW)
    about = helpers.metadata_of(VIDEO, ["z500"], helpers.GRID, ["open", "open"])
    found = audit.neighbours_in_fields(seen, later, about, Audit())
    assert found["copies"] == 1
    first, second = found["closest"][:2]
    assert (first["held_out"], first["training"]) == ("2040-02-03T12:00", "2001-03-27T12:00")
    assert first["distance"] < 0.02 and second["distance"] > 0.5
    assert "1 held-out frames are nearly copies of training frames, such as 2040-02-03T12:00 of 2001-03-27" in (
        audit._copies(found["copies"], first)
    )


def test_of_a_long_period_frames_are_spread_evenly_and_few_fields_are_held(monkeypatch):
    seen = helpers.of(days(700), helpers.two_states(700, 1), WINDOW, segment=np.where(np.arange(700) < 100, -1, 0))
    np.testing.assert_array_equal(audit.evenly_spaced(seen, 6), [100, 200, 300, 400, 500, 600])
    assert len(audit.evenly_spaced(seen, 5000)) == 600
    monkeypatch.setattr(audit, "ROOM", 10 * 16 * 4)
    about = helpers.metadata_of(VIDEO, ["z500"], helpers.GRID, ["open", "open"])
    found = audit.neighbours_in_fields(seen, seen, about, Audit(frames=300))
    assert found["compared"] == {"training": 300, "of": 600, "held_out": 10} and found["ratio"] == pytest.approx(1)


def test_periods_without_a_frame_that_is_away_have_no_ratio():
    seen = helpers.of(days(6), helpers.two_states(6, 1), WINDOW)
    about = helpers.metadata_of(VIDEO, ["z500"], helpers.GRID, ["open", "open"])
    found = audit.neighbours_in_fields(seen, seen, about, Audit())
    assert found["ratio"] is None and found["copies"] == 0 and found["closest"] == []


def judged(**values):
    """What an audit judges, with intervals of 0.05 on either side."""
    one = lambda value: {"auroc": value, "lower": value - 0.05, "upper": value + 0.05}
    judged = {name: one(values.get(name, 0.5)) for name in audit.NAMES}
    return {"judged": judged, "levels": [{"linear": one(0.55)}]}


def test_a_limit_refuses_what_exceeds_it_and_says_what_to_do():
    assert audit.refusal(judged(skill=0.72), None) == "" == audit.refusal(judged(skill=0.69), 0.7)
    said = audit.refusal(judged(skill=0.72, deviation=0.9), 0.7)
    assert (
        "above train.audit.limit (0.7): standard deviation of the representation: 0.90 (0.85 to 0.95); skill beside"
        in said
    )
    assert (
        "L4 / L2" not in said
        and "an AUROC of up to 0.55" in said
        and "a longer domain.train; or raise the limit" in said
    )
    assert "(0.6)" in audit.refusal(judged(skill=0.65), 0.6) and audit.refusal(judged(skill=0.75), 0.8) == ""
    assert audit.refusal(judged(skill=0.54), 0.5) == ""  # its interval contains 0.5


def audited(domain, files, **limit):
    settings = SETTINGS.model_copy(update={"audit": Audit(windows=20, **limit)})
    folder = files["prior"].parent
    audit.run(
        domain,
        settings,
        prior=files["prior"],
        fields=files["fields.zarr"],
        audit=folder / "audit.json",
        figure=folder / "audit.png",
        steering=folder / "steering.safetensors",
    )
    return json.loads((folder / "audit.json").read_text())


def test_from_a_prior_and_fields_to_a_file_and_a_figure(domain, made, capsys):  # noqa: F811
    train(domain, made)
    assert priors.load(made["prior"]).metadata.trained_on == [["2000-01-01T12:00", "2000-12-31T12:00"]]
    found = audited(domain, made)
    assert found["windows"] == 20 and found["held_out"] == [["2001-01-01T12:00", "2001-01-31T12:00"]]
    assert found["judged"]["skill"]["lower"] is None  # fewer than thirty windows
    assert [level["sigma"] for level in found["levels"]] == list(audit.LEVELS)
    assert found["findings"] == capsys.readouterr().out.splitlines()[-3:]
    before = (made["prior"].parent / "audit.json").read_bytes()
    digest = hashlib.sha256(made["prior"].read_bytes()).hexdigest()
    steering = load(made["prior"].parent / "steering.safetensors", digest, Steered())
    assert set(steering.directions) == set(priors.load(made["prior"]).network.taps)
    audited(domain, made)
    assert (made["prior"].parent / "audit.json").read_bytes() == before
    assert (made["prior"].parent / "audit.png").read_bytes().startswith(b"\x89PNG")


def test_a_prior_above_the_limit_writes_no_result(domain, made, monkeypatch):  # noqa: F811
    train(domain, made)
    monkeypatch.setattr(audit, "judge", lambda periods: judged(skill=0.8)["judged"])
    with pytest.raises(UserError, match=r"prior: the prior tells .* 0.80 .*audit.refused.json and audit.refused.png"):
        audited(domain, made, limit=0.7)
    folder = made["prior"].parent
    assert not (folder / "audit.json").exists() and (folder / "audit.refused.json").exists()
    assert not (folder / "steering.safetensors").exists()
    audited(domain, made, limit=0.9)
    assert (folder / "audit.json").exists() and not (folder / "audit.refused.json").exists()


def test_frames_that_the_prior_has_seen_are_not_held_out(domain, made):  # noqa: F811
    train(domain, made)
    earlier = domain.model_copy(
        update={"validation": domain.validation.model_copy(update={"start": np.datetime64("2000-12-30T12").item()})}
    )
    with pytest.raises(
        UserError, match="trained on 2 of the 33 frames of the validation period, the first at 2000-12-30"
    ):
        audited(earlier, made)


def test_masked_training_frames_travel_as_gaps(domain, made):  # noqa: F811
    whole = store.read(made["fields.zarr"]).load()
    available = np.ones(whole.sizes["time"], bool)
    available[100:103] = False
    fields = whole["fields"].where(np.asarray(available)[:, None, None, None])
    store.write(whole.assign(fields=fields, available=("time", available)), made["fields.zarr"])
    train(domain, made)
    ends = priors.load(made["prior"]).metadata.trained_on
    assert ends == [["2000-01-01T12:00", "2000-04-09T12:00"], ["2000-04-13T12:00", "2000-12-31T12:00"]]


def test_points_without_values_count_for_nothing(source, domain, tmp_path):
    """They have one value in all frames; distances and errors are those of the points that have values."""
    covered = np.ones((6, 8), bool)
    covered[:3, :4] = False
    source = source.where(xr.DataArray(covered, dims=("lat", "lon")), 0.0)
    files = files_of(source.assign_coords(covered=(("lat", "lon"), covered)), domain, tmp_path, SETTINGS)
    where = Grid.of(store.read(files["fields.zarr"])).covered
    assert where.sum() == 36
    train(domain, files)
    found = audited(domain, files)
    prior = priors.load(files["prior"])
    seen, later = (
        audit._windows(domain, SETTINGS, name, prior, files["fields.zarr"]) for name in ("train", "validation")
    )
    times = seen.times
    whole = store.read(files["fields.zarr"])["fields"].sel(time=times).values
    values = prior.scaling.normalise(whole, times)[..., where].reshape(366, -1)
    distance = np.linalg.norm(values[:, None] - values, axis=-1)
    distance[np.abs(times[:, None] - times) < np.timedelta64(8, "D")] = np.inf
    assert found["neighbours"]["fields"]["training"] == pytest.approx(np.median(distance.min(1)), rel=1e-5)
    parts = responses.choose(seen, later, 20, SETTINGS.seed)
    for windows, numbers, name in zip((seen, later), parts, ("training", "held_out")):
        error = covered_error(prior, windows, numbers, where)
        assert found["levels"][1]["linear_error"][name] == pytest.approx(np.sqrt(error * 36 / 48), rel=1e-4)


def covered_error(prior, windows, numbers, where):
    """Mean square error of the linear prior at the points that have values, at the second noise level."""
    clean, sigma = windows.take(numbers)[0], audit.LEVELS[1]
    white = responses._white(prior, responses.times_of(windows, numbers), SETTINGS.seed, 1)
    level = torch.full(clean.shape[:2], sigma)
    linear = denoiser.denoise(prior.process, lambda inputs, *_: torch.zeros(()), clean + sigma * white, level)
    return (linear - clean).square().reshape(*clean.shape[:2], 2, 48)[..., where.ravel()].mean().item()
