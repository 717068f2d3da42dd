"""Functions of one channel at a time and of all channels, against the same ones written out as a matrix."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import modes
from hindsight.diffusion.channelwise import Channelwise, complex_waves

CHANNELS, ROWS, JOINT = 3, 4, 5


def functions(width, seed=0):
    """Random ones, complete: of every channel, five of which are turned together; coefficients in random order."""
    generator, waves = np.random.default_rng(seed), width // 2 + 1
    turned, places = complex_waves(waves, width), []
    table, rotation = np.zeros((waves, CHANNELS, ROWS, ROWS), complex), np.zeros((waves, JOINT, JOINT), complex)
    chosen = np.array([generator.permutation(CHANNELS * ROWS)[:JOINT] for _ in range(waves)])
    for m in range(waves):
        phase = 1j if turned.start <= m < turned.stop else 0
        unitary = lambda size, phase=phase: np.linalg.qr(
            generator.standard_normal((size, size)) + phase * generator.standard_normal((size, size))
        )[0]
        table[m], rotation[m] = [unitary(ROWS) for _ in range(CHANNELS)], unitary(JOINT)
        alone = [JOINT + j for j in range(CHANNELS * ROWS) if j not in chosen[m]]
        real = m * (JOINT + CHANNELS * ROWS) + np.array([*range(JOINT), *alone])
        places += [*real, *(waves * (JOINT + CHANNELS * ROWS) + real if phase else [])]
    parts = lambda x: torch.tensor(np.stack([x.real, x.imag], -1), dtype=torch.float32)
    place = torch.as_tensor(generator.permutation(places))
    return Channelwise(parts(table), torch.as_tensor(chosen), parts(rotation), place, torch.tensor(width))


def matrix(found):
    """The functions as columns: every amplitude times e^{i m lambda}, summed over channels by definition."""
    width, joint = int(found.width), found.chosen.shape[1]
    table, rotation = (x.numpy()[..., 0] + 1j * x.numpy()[..., 1] for x in (found.table, found.rotation))
    waves, columns = len(table), joint + CHANNELS * ROWS
    dense = np.zeros((CHANNELS, ROWS, width, len(found.place)))
    for n, place in enumerate(found.place.tolist()):
        imaginary, place = divmod(place, waves * columns)
        m, k = divmod(place, columns)
        weights = np.zeros(CHANNELS * ROWS, complex)
        if k < joint:
            weights[found.chosen[m].numpy()] = rotation[m, :, k]
        else:
            weights[k - joint] = 1
        of = np.einsum("chl,cl->ch", table[m], weights.reshape(CHANNELS, ROWS))
        twice = complex_waves(waves, width).start <= m < complex_waves(waves, width).stop
        wave = of[..., None] * np.exp(2j * np.pi * m * np.arange(width) / width) / np.sqrt(width)
        wave = wave * (np.sqrt(2) if twice else 1)
        dense[..., n] = -wave.imag if imaginary else wave.real
    return dense.reshape(-1, len(found.place))


@pytest.fixture(params=[1, 7, 8], ids=["a region", "odd circles", "even circles"])
def width(request):
    return request.param


@pytest.fixture
def case(width):
    found = functions(width)
    return found, matrix(found)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_projection_and_expansion_are_those_of_the_matrix(case):
    found, dense = case
    fields, coefficients = noise(2, 5, found.size), noise(2, 5, dense.shape[1], seed=1)
    np.testing.assert_allclose(found.project(fields), fields.numpy() @ dense, atol=1e-5)
    np.testing.assert_allclose(found.expand(coefficients), coefficients.numpy() @ dense.T, atol=1e-5)


def test_the_functions_are_orthonormal_and_span_every_field(case):
    found, dense = case
    assert dense.shape == (found.size, found.size)
    np.testing.assert_allclose(dense.T @ dense, np.eye(found.size), atol=1e-5)
    fields = noise(3, found.size)
    torch.testing.assert_close(found.expand(found.project(fields)), fields, atol=1e-5, rtol=0)


def test_coefficients_without_a_place_are_zero_and_have_no_effect(width):
    found = functions(width)
    found = Channelwise(*list(found.tensors().values())[:3], torch.cat([found.place, torch.tensor([-1])]), found.width)
    assert found.project(noise(2, found.size))[:, -1].abs().max() == 0
    only = torch.zeros(1, len(found.place))
    only[0, -1] = 1e3
    assert found.expand(only).abs().max() == 0


def test_functions_come_back_from_their_tensors(case):
    found, _ = case
    again = modes.from_tensors(found.tensors())
    assert isinstance(again, Channelwise) and again.periodic == (int(found.width) > 1)
    assert torch.equal(again.project(noise(2, found.size)), found.project(noise(2, found.size)))


def test_gradients_are_those_of_the_matrix(case):
    found, dense = case
    fields = noise(1, found.size).requires_grad_(True)
    weights = noise(dense.shape[1], seed=1)
    (found.project(fields) @ weights).sum().backward()
    np.testing.assert_allclose(fields.grad[0], dense @ weights.numpy(), atol=1e-5)
