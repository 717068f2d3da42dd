"""The precision of a trajectory given its observations, against dense conditioning."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hindsight.diffusion import information
from hindsight.diffusion import modes as bases
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.information import Information, Symmetric
from hindsight.diffusion.modes import Values
from tests.diffusion.guidance import scenes
from tests.oracles import linear_gaussian as oracle


def days(reach):
    """As `scenes.seen`, the first row of every frame reaching back by so many frames, as far as there are any."""
    one = scenes.seen()
    offset = torch.zeros_like(one.point)
    offset[:, 0, 1] = -torch.arange(scenes.FRAMES).clamp(max=reach)
    return replace(one, offset=offset * (one.weight != 0))


SEEN = {
    "of a frame": (scenes.seen(), 1),
    "between frames": (scenes.between(), 2),
    "one frame back": (days(1), 1),
    "three frames back": (days(3), 3),  # in blocks of three frames, of which the last has two
    "all frames": (days(4), 4),
    "none": (replace(scenes.seen(), present=torch.zeros(scenes.FRAMES, 3)), 1),
}


def double(process):
    tensors = process.modes.tensors().items()
    modes = bases.from_tensors({name: part.double() if part.is_floating_point() else part for name, part in tensors})
    return replace(process, modes=modes)


def covariance(process, made, level=scenes.ABOVE, factor=1.0):
    """J^-1 as the covariance of fields, column by column."""
    inverse, columns = made.factored(process.posterior(level[None]), factor), oracle.scaled(process)
    size = scenes.FRAMES * len(process.variance)
    unit = torch.eye(size, dtype=torch.float64).view(size, scenes.FRAMES, -1)
    found = inverse(unit).reshape(size, size).numpy()
    whole = np.kron(np.eye(scenes.FRAMES), columns)
    return whole @ found @ whole.T


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("seen", SEEN)
def test_its_inverse_is_the_covariance_of_dense_conditioning(seen, keep):
    seen, span = SEEN[seen]
    made = Information(double(scenes.PROCESS), seen.double(), keep)
    _, expected = scenes.conditioned(torch.zeros(1, scenes.FRAMES, scenes.SIZE), seen)
    assert information.span(seen) == span
    for _ in range(2):  # the second time from the sums that were kept
        np.testing.assert_allclose(covariance(scenes.PROCESS, made), expected, atol=1e-6 * np.abs(expected).max())


def test_levels_may_be_infinite_and_errors_scaled():
    seen, level = scenes.seen(), torch.tensor([torch.inf, 1.0, torch.inf, torch.inf, 0.2])
    made = Information(double(scenes.PROCESS), seen.double())
    blank = torch.zeros(1, scenes.FRAMES, scenes.SIZE)
    _, expected = scenes.conditioned(blank, replace(seen, error=seen.error * 3), level.clamp(max=1e6))
    np.testing.assert_allclose(covariance(scenes.PROCESS, made, level, 9.0), expected, rtol=1e-5, atol=1e-6)


def test_functions_of_any_kind_give_the_same_sums():
    size = scenes.SIZE
    rest = torch.ones(size), torch.zeros(0, 0, 0), torch.zeros(size)
    matrix, values = (GaussMarkov(m, *rest) for m in (bases.Empirical(torch.eye(size)), Values(torch.tensor(size))))
    found = [Information(double(process), scenes.between().double())._sum(4, 3) for process in (matrix, values)]
    torch.testing.assert_close(*found)
    assert found[0].any() and not torch.equal(found[0], found[0].T)


def test_the_signal_is_what_the_errors_leave_of_the_prior():
    seen = scenes.seen()
    made, columns = Information(double(scenes.PROCESS), seen.double()), oracle.scaled(scenes.PROCESS)
    sums = []
    for t in range(scenes.FRAMES):
        rows, error = seen.rows(t, scenes.SIZE).double().numpy() @ columns, seen.error[t].double().numpy()
        here = seen.present[t].numpy() > 0
        sums.append((rows[here] ** 2 / error[here, None] ** 2).sum())
    assert made.signal == pytest.approx(max(sums), rel=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_a_symmetric_matrix_in_half_of_its_memory(count):
    root = torch.randn(count, count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kept = Symmetric(root + root.T)
    assert torch.equal(kept.full, root + root.T)
    numbers = kept._both.numel() + kept._diagonal.numel() + kept._across.numel()
    assert numbers <= (count + 1) ** 2 / 2 + count


def test_memory_and_work_do_not_depend_on_the_number_of_rows():
    """Five frames of eight modes; rows over three frames back are blocks of three frames, the last padded."""
    one, process = scenes.seen(), scenes.PROCESS
    many = replace(one, **{n: getattr(one, n).repeat(1, 50, *[1] * (getattr(one, n).ndim - 2)) for n in NAMES})
    for seen in (one, many):
        assert information.memory(process, seen) == information.memory_of_sums(process, seen) == 4 * 5 * 8**2
        assert information.work(process, seen) == 5 * 8**2 * (8 + 8 / information.POSTERIORS)
    assert information.memory(process, days(3)) == 12 * 2 * 24**2
    assert information.memory_of_sums(process, days(3)) == 7 * 4 * 5 * 8**2


NAMES = ("point", "weight", "value", "error", "present")
