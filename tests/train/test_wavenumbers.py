"""Merging the models of all wavenumbers."""

import torch

from hindsight.train.wavenumbers import Wavenumber, merge, pack
from tests.oracles import linear_gaussian as oracle

SIZE, WIDTH = 3, 6


def test_wavenumbers_are_packed_into_few_groups_of_one_size():
    sizes = [22, *(2 * (22 - m) for m in range(1, 22))]
    groups = pack(sizes)
    filled = [sum(sizes[block] for block in group) for group in groups]
    assert sorted(block for group in groups for block in group) == list(range(22))
    assert max(filled) == max(sizes) and len(groups) <= 1.25 * sum(sizes) / max(sizes) + 1
    assert pack([3]) == [[0]]


def wavenumbers(counts=(3, 2, 1), coupled=(2, 1, 1), seed=0):
    """Wavenumbers with random orthonormal functions, variances, couplings and memories."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number, (count, few) in enumerate(zip(counts, coupled)):
        kind = torch.complex128 if number else torch.float64
        random = lambda *shape, kind=kind: torch.randn(*shape, dtype=kind, generator=generator)
        functions = torch.linalg.qr(random(SIZE, SIZE))[0][:, :count]
        variance = torch.rand(count, generator=generator, dtype=torch.float64) + 0.5
        memory = torch.rand(count - few, generator=generator, dtype=torch.float64)
        found.append(Wavenumber(number, functions, variance, 0.3 * random(few, few), memory))
    return found


def expected(orders, lag):
    """E[x_{t+lag} x_t^T] of fields (SIZE, WIDTH): the sum over waves of functions, coupling and functions again."""
    total = torch.zeros(SIZE, WIDTH, SIZE, WIDTH, dtype=torch.float64)
    apart = torch.arange(WIDTH)[:, None] - torch.arange(WIDTH)
    for order in orders:
        root = order.variance.sqrt().to(order.functions.dtype)
        keep = torch.block_diag(order.coupling, torch.diag(order.persistence.to(order.coupling.dtype)))
        within = order.functions * root @ torch.matrix_power(keep, lag) @ (order.functions * root).mH
        wave = torch.exp(2j * torch.pi * order.number * apart / WIDTH) / WIDTH * (2 if order.number else 1)
        total += torch.einsum("ij,kl->ikjl", within.to(torch.complex128), wave).real
    return total.reshape(SIZE * WIDTH, -1)


def test_the_merged_process_has_the_covariances_of_all_wavenumbers():
    made = wavenumbers()
    found = oracle.covariance(merge(made, WIDTH, 1e-6), 3).reshape(3, SIZE * WIDTH, 3, SIZE * WIDTH)
    for lag in range(3):
        torch.testing.assert_close(torch.as_tensor(found[lag, :, 0]), expected(made, lag), atol=1e-5, rtol=0)


def test_the_padding_of_a_group_is_coupled_to_nothing():
    fitted = merge(wavenumbers(), WIDTH, 1e-6)
    null = (fitted.modes.place[: fitted.coupled] < 0).view(fitted.coupling.shape[:2])
    assert fitted.coupling[null].abs().sum() == 0 == fitted.coupling.mT[null].abs().sum()
    assert sorted(fitted.modes.place[fitted.modes.place >= 0].tolist()) == [0, 1, 2, 3, 4, 6, 12, 13, 15]
