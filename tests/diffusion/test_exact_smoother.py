"""Our plan, guidance and sampler against the exact smoother: mean and spread, within Monte-Carlo error."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import frame_random, noise, sampler
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.plan import noise_plan
from hindsight.operators.interpolate import Observed
from tests.oracles import linear_gaussian as oracle

FRAMES, SIZE, MEMBERS = 6, 12, 6000
NETWORKS = {"dense": range(SIZE), "sparse": [2, 7], "one": [5], "none": []}


def observe(places, seed=3):
    """The same places in every frame, but for frame 3, which is not observed; errors unequal."""
    generator = np.random.default_rng(seed)
    n = max(len(places), 1)
    present = torch.zeros(FRAMES, n)
    present[:, : len(places)] = 1
    present[3] = 0
    point = torch.zeros(FRAMES, n, 4, dtype=torch.long)
    weight = torch.zeros(FRAMES, n, 4)
    for k, place in enumerate(places):  # between two points, unevenly
        point[:, k] = torch.tensor([place, (place + 1) % SIZE, 0, 0])
        weight[:, k] = torch.tensor([0.75, 0.25, 0.0, 0.0])
    error = torch.tensor(generator.uniform(0.1, 0.6, n), dtype=torch.float32).expand(FRAMES, n)
    value = torch.tensor(generator.standard_normal((FRAMES, n)), dtype=torch.float32)
    return Observed(point, weight, value, error, present)


def rows(seen):
    """The same observations for the oracle: an operator, errors and values a frame."""
    found = []
    for t in range(FRAMES):
        here = seen.present[t] > 0
        operator = np.zeros((int(here.sum()), SIZE))
        for k, (point, weight) in enumerate(zip(seen.point[t][here], seen.weight[t][here])):
            np.add.at(operator[k], point.numpy(), weight.numpy())
        found.append((operator, seen.error[t][here].numpy(), seen.value[t][here].numpy()))
    return zip(*found)


def analyse(process, seen, steps, members=MEMBERS):
    guidance = Analytic(process, seen, tolerance=1e-6)

    def white(row, purpose, size=SIZE):
        # one stream a (frame, member) is slow for thousands of members, and its laws are tested elsewhere
        seed = 100 * row + frame_random.PURPOSES.index(purpose)
        return torch.randn(members, FRAMES, size, generator=torch.Generator().manual_seed(seed))

    def draw(denoised, posterior, row):
        return guidance.draw(denoised, posterior, white(row, "state"), white(row, "observation", seen.value.shape[1]))

    plan, sigma = noise_plan(FRAMES, steps, 0), noise.levels(steps, 0.05, 10.0, 7.0)
    return sampler.sample(process, lambda x, posterior: posterior.mean(x), draw, plan, sigma, white)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("steps", [1, 2, 8])
def test_batch_is_the_rauch_tung_striebel_smoother_at_any_number_of_steps(network, steps):
    process = oracle.process(SIZE)
    seen = observe(list(NETWORKS[network]))
    sample = analyse(process, seen, steps).double().numpy()
    mean, covariance = oracle.smoother(process, *rows(seen))
    deviation = np.sqrt(np.array([np.diag(p) for p in covariance]))
    off = (sample.mean(0) - mean) / deviation * np.sqrt(MEMBERS)  # standard normal if right
    assert np.abs(off).max() < 4.5 and np.abs(off).std() < 1.5
    np.testing.assert_allclose(sample.std(0, ddof=1) / deviation, 1, atol=0.05)
    middle = np.cov(sample[:, 2].T)
    np.testing.assert_allclose(middle, covariance[2], atol=0.06 * np.abs(covariance[2]).max())


def test_the_two_oracles_agree():
    process, seen = oracle.process(SIZE), observe([2, 7])
    mean, covariance = oracle.smoother(process, *rows(seen))
    operators, errors, values = rows(seen)
    whole = oracle.stacked(operators)
    dense_mean, dense = oracle.condition(
        oracle.covariance(process, FRAMES), whole, np.concatenate(errors), np.concatenate(values)
    )
    np.testing.assert_allclose(mean.ravel(), dense_mean, atol=1e-9)
    np.testing.assert_allclose(covariance[2], dense[2 * SIZE : 3 * SIZE, 2 * SIZE : 3 * SIZE], atol=1e-9)
