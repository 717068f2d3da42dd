"""Principal components of a series, and a linear model of their evolution, from its covariances."""

import torch

from hindsight.settings.train import LinearPrior
from hindsight.train.covariances import CovarianceSums

MAX_SINGULAR_VALUE = 0.995  # of the coupling, so that the process is stationary


def principal(sums: CovarianceSums, settings: LinearPrior) -> tuple[torch.Tensor, torch.Tensor]:
    """Principal components of samples, which may be complex: variances, largest first, and orthonormal vectors."""
    size = len(sums.now)
    variance, vectors = torch.linalg.eigh(sums.covariance)
    keep = min(settings.modes or size, size, sums.frames - 1)
    return variance.flip(0)[:keep].clamp(min=settings.floor), vectors.flip(1)[:, :keep]


def lagged(sums: CovarianceSums, variance: torch.Tensor, vectors: torch.Tensor, settings: LinearPrior) -> torch.Tensor:
    """Lagged covariance E[a_{t+1} a_t^H] of the whitened coefficients of the vectors, shrunk by the ridge."""
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
