"""Orthonormal functions, against the same ones written out as a matrix."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import modes
from hindsight.diffusion.modes import Empirical, Values, Waves

STACKED = 6  # channels times latitudes
USED = [4, 3, 5, 1]  # functions of each zonal wavenumber, of five columns


def waves(width):
    """Random waves, their coefficients in random order with three that are always zero among them."""
    generator, columns, orders = np.random.default_rng(0), max(USED), len(USED)
    table, places = np.zeros((orders, STACKED, columns, 2), "float32"), [-1, -1, -1]
    for m, used in enumerate(USED):
        random = generator.standard_normal((2, STACKED, STACKED)) * [[[1]], [[m > 0]]]
        functions = np.linalg.qr(random[0] + 1j * random[1])[0][:, :used]
        table[m, :, :used, 0], table[m, :, :used, 1] = functions.real, functions.imag
        real = m * columns + np.arange(used)
        places += [*real, *(orders * columns + real if m else [])]
    place = torch.as_tensor(generator.permutation(places))
    return Waves(torch.as_tensor(table), place, torch.tensor(width))


def matrix(found, width):
    """The functions as columns: sqrt(2 / W) times Re and -Im of V e^{i m lambda}, or V / sqrt(W) at wavenumber 0."""
    functions = found.table.numpy()[..., 0] + 1j * found.table.numpy()[..., 1]
    orders, columns = len(USED), max(USED)
    turn = 2 * np.pi * np.arange(width) / width
    dense = np.zeros((STACKED, width, len(found.place)))
    for n, place in enumerate(found.place.tolist()):
        if place >= 0:
            imaginary, place = divmod(place, orders * columns)
            m, k = divmod(place, columns)
            wave = functions[m, :, k, None] * np.exp(1j * m * turn) / np.sqrt(width) * (np.sqrt(2) if m else 1)
            dense[..., n] = -wave.imag if imaginary else wave.real
    return dense.reshape(-1, len(found.place))


def empirical():
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((20, 20)))[0][:, :9]
    return Empirical(torch.tensor(basis, dtype=torch.float32))


@pytest.fixture(params=["values", "empirical", 7, 12], ids=["values", "empirical", "odd circles", "even circles"])
def case(request):
    """Functions, and the same functions as a matrix."""
    if request.param == "values":
        return Values(torch.tensor(15)), np.eye(15)
    found = empirical() if request.param == "empirical" else waves(request.param)
    return found, found.matrix.numpy() if request.param == "empirical" else matrix(found, request.param)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_projection_and_expansion_are_those_of_the_matrix(case):
    found, dense = case
    assert found.size == len(dense)
    fields, coefficients = noise(5, len(dense)), noise(5, dense.shape[1])
    np.testing.assert_allclose(found.project(fields), fields.numpy() @ dense, atol=1e-5)
    np.testing.assert_allclose(found.expand(coefficients), coefficients.numpy() @ dense.T, atol=1e-5)


def test_the_functions_are_orthonormal(case):
    found, dense = case
    null = (dense == 0).all(0)
    gram = found.project(found.expand(torch.eye(dense.shape[1])))
    np.testing.assert_allclose(gram, np.diag(~null).astype(float), atol=1e-5)
    assert null.sum() == (3 if isinstance(found, Waves) else 0)


def test_projection_is_the_adjoint_of_expansion(case):
    found, dense = case
    fields, coefficients = noise(3, len(dense)), noise(3, dense.shape[1], seed=1)
    there = (found.project(fields).double() * coefficients).sum()
    torch.testing.assert_close(there, (fields.double() * found.expand(coefficients)).sum(), atol=1e-4, rtol=1e-5)


def test_fields_in_the_span_come_back_and_the_rest_of_others_is_orthogonal_to_it(case):
    found, dense = case
    inside = found.expand(noise(4, dense.shape[1]))
    torch.testing.assert_close(found.expand(found.project(inside)), inside, atol=1e-5, rtol=0)
    other = noise(4, len(dense))
    left = other - found.expand(found.project(other))
    assert found.project(left).abs().max() < 1e-5 and (isinstance(found, Values) or left.abs().max() > 0.1)


@pytest.mark.parametrize("width", [7, 12])
def test_null_coefficients_are_zero_and_have_no_effect(width):
    found = waves(width)
    null = found.place < 0
    assert found.project(noise(4, found.size))[:, null].abs().max() == 0
    other = torch.where(null, 1e3, 0.0)
    assert found.expand(other).abs().max() == 0


@pytest.mark.parametrize("leading", [(), (4,), (2, 3), (2, 1, 3)])
def test_fields_may_have_any_leading_dimensions(case, leading):
    found, dense = case
    fields, coefficients = noise(*leading, len(dense)), noise(*leading, dense.shape[1])
    there, back = found.project(fields), found.expand(coefficients)
    assert there.shape == coefficients.shape and back.shape == fields.shape
    flat = found.project(fields.reshape(-1, len(dense)))
    torch.testing.assert_close(there.reshape(flat.shape), flat, atol=1e-6, rtol=0)
    torch.testing.assert_close(back.reshape(-1, len(dense)), found.expand(coefficients.reshape(flat.shape)))


def test_functions_come_back_from_their_tensors(case):
    found, dense = case
    again = modes.from_tensors(found.tensors())
    assert type(again) is type(found) and again.size == found.size
    assert all(torch.equal(value, again.tensors()[name]) for name, value in found.tensors().items())
    fields = noise(2, len(dense))
    assert torch.equal(again.project(fields), found.project(fields))
