"""Principal components of a series, and a linear model of their evolution, from its covariances."""

import torch

from hindsight.settings.train import LinearPrior
from hindsight.train.covariances import CovarianceSums

MAX_SINGULAR_VALUE = 0.995  # of the coupling, so that the process is stationary


def principal(sums: CovarianceSums, settings: LinearPrior) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Principal components of samples, which may be complex.

    With several parts there are as many as values: directions in which the frames do not vary, because they are few,
    have the variance that a part has in such directions of the others.

    Returns:
        Their variances, largest first, see `cross_validated`; their variances in the samples; orthonormal vectors.
    """
    size, parts = sums.now.shape[-1], len(sums.parts)
    within, vectors = (x.flip(-1) for x in torch.linalg.eigh(sums.covariance))
    keep = min(settings.modes or size, size if parts > 1 else sums.frames - 1)
    variance = cross_validated(sums) if parts > 1 else within
    return variance[:keep].clamp(min=settings.floor), within[:keep].clamp(min=settings.floor), vectors[:, :keep]


def cross_validated(sums: CovarianceSums) -> torch.Tensor:
    """Variances of principal components, each part of the period judging the components of the others.

    Components are chosen to have much variance in the samples, so the leading ones have less elsewhere and the trailing
    ones more, the more so the fewer independent samples there are. The mean variance of the i-th component in frames
    that it was not fitted to has no such bias (Abadir, Distaso and Zikes 2014, doi:10.1016/j.jeconom.2014.03.001;
    Bartz 2016, arXiv:1611.00798). Sorted, as Bartz's isotonic regression would.
    """
    total = 0
    for part in sums.parts:
        vectors = torch.linalg.eigh(sums.without(part))[1].flip(-1)
        total = total + (vectors.conj() * (sums.now[part] @ vectors)).sum(0).real
    return (total / sums.frames).sort(descending=True).values


def lagged(sums: CovarianceSums, variance: torch.Tensor, vectors: torch.Tensor, settings: LinearPrior) -> torch.Tensor:
    """Lagged covariance E[a_{t+1} a_t^H] of the whitened coefficients of the vectors, shrunk by the ridge.

    `variance` is that of the samples themselves, so that the result is a correlation.
    """
    root = variance.sqrt()
    found = vectors.mH @ sums.lagged @ vectors / (root[:, None] * root) / (1 + settings.ridge)
    return torch.zeros_like(found) if settings.form == "space" else found


def evolution(lagged: torch.Tensor, coupled: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Coupling of the leading modes, clipped to keep the process stationary, and lag-one correlation of the others."""
    left, singular, right = torch.linalg.svd(lagged[:coupled, :coupled])
    coupling = left * singular.clamp(max=MAX_SINGULAR_VALUE).to(left.dtype) @ right
    return coupling, memory(lagged.diagonal()[coupled:])


def memory(correlation: torch.Tensor) -> torch.Tensor:
    """Lag-one correlations of uncoupled modes, the real parts of complex ones, clipped like the coupling."""
    return correlation.real.clamp(-MAX_SINGULAR_VALUE, MAX_SINGULAR_VALUE)


def component_model(
    sums: CovarianceSums, settings: LinearPrior
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The model of components that have variance: their variances, coupling, lag-one correlations, and vectors."""
    variance, within, vectors = principal(sums, settings)
    kept = variance > settings.floor
    variance, within, vectors = variance[kept], within[kept], vectors[:, kept]
    coupling, persistence = evolution(lagged(sums, within, vectors, settings), settings.coupled_modes)
    return variance, coupling, persistence, vectors
