"""A two-layer denoising autoencoder whose minimisers are known: f(x) = W2 [W1^T x]_+.

The loss is the mean over n samples and noise of |f(x + sigma e) - x|^2, plus lambda (|W1|^2 + |W2|^2). Its minimisers
on samples that are separable (different clusters have no positive inner product) are those of Zhang et al. (2025,
arXiv:2512.20963): with at least as many units as samples, each unit stores a sample,

    w = r x_i,   r^2 = (|x_i|^2 - n lambda) / (|x_i|^4 + sigma^2 |x_i|^2);

with many samples of each cluster its units share the local Wiener filter,

    W_k W_k^T = (S_k - lambda / rho_k) (S_k + sigma^2)^-1,   S_k = mu_k mu_k^T + Sigma_k,

on the eigenvectors of S_k, rho_k being the share of the samples in the cluster. Both are derived by setting the
gradient to zero where no unit crosses its threshold; the tests check this by automatic differentiation.
"""

from dataclasses import dataclass

import numpy as np
import torch

SIDE, CLUSTERS, RANK, NOISE, NORM = 8, 5, 6, 0.2, 4.0


@dataclass(frozen=True)
class Images:
    """Clusters of small images: means mu_k (K, D), principal components U_k (K, D, R) and their spreads (R,)."""

    means: torch.Tensor
    components: torch.Tensor
    spread: torch.Tensor

    def draw(self, count: int, seed: int) -> torch.Tensor:
        """Samples (n, D), of the clusters in turn."""
        generator = torch.Generator().manual_seed(seed)
        which = torch.arange(count) % len(self.means)
        inside = self.spread * torch.randn(count, len(self.spread), generator=generator).clamp(-2.5, 2.5)
        return self.means[which] + torch.einsum("sdr,sr->sd", self.components[which], inside)

    def second_moment(self, samples: torch.Tensor, k: int) -> torch.Tensor:
        """S_k of samples, (D, D)."""
        own = samples[k :: len(self.means)]
        return own.T @ own / len(own)


def images() -> Images:
    """Five clusters whose means have negative inner products, each with a few orthogonal directions of its own."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(SIDE**2, CLUSTERS * (1 + RANK), generator=generator, dtype=torch.float64))[0]
    corners = torch.eye(CLUSTERS, dtype=torch.float64) - 1 / CLUSTERS
    means = NORM * corners / corners.norm(dim=1, keepdim=True) @ basis[:, :CLUSTERS].T
    components = basis[:, CLUSTERS:].T.unflatten(0, (CLUSTERS, RANK)).transpose(1, 2)
    return Images(means, components, torch.tensor([0.4, 0.35, 0.3, 0.25, 0.2, 0.15], dtype=torch.float64))


def directions(count: int, seed: int, dimension: int = 10) -> torch.Tensor:
    """Samples of one length in any direction of a subspace, (n, D)."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *size: torch.randn(*size, generator=generator, dtype=torch.float64)
    axes = torch.linalg.qr(torch.randn(SIDE**2, dimension, generator=torch.Generator().manual_seed(9)).double())[0]
    inside = draw(count, dimension)
    return NORM * inside / inside.norm(dim=1, keepdim=True) @ axes.T


def separable(samples: torch.Tensor, count: int) -> torch.Tensor:
    """The first samples found whose cosines to each other all are between -0.3 and -0.15, (count, D)."""
    chosen = samples[:1]
    for sample in samples[1:]:
        cosine = chosen @ sample / NORM**2
        if len(chosen) < count and -0.3 < cosine.min() and cosine.max() < -0.15:
            chosen = torch.cat([chosen, sample[None]])
    assert len(chosen) == count
    return chosen


def loss(
    encoder: torch.Tensor, decoder: torch.Tensor, samples: torch.Tensor, white: torch.Tensor, decay: float
) -> torch.Tensor:
    """The loss for samples (n, D) and draws of white noise (m, n, D), or antithetic pairs of them."""
    noisy = samples + NOISE * torch.cat([white, -white])
    wrong = torch.relu(noisy @ encoder) @ decoder.T - samples
    return wrong.square().sum(-1).mean() + decay * (encoder.square().sum() + decoder.square().sum())


def trained(samples: torch.Tensor, units: int, decay: float, steps: int, batch: int, seed: int = 0) -> torch.Tensor:
    """Train from small random weights by Adam, and return the encoder W1 (D, units)."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *size: torch.randn(*size, generator=generator, dtype=samples.dtype)
    weights = [(0.05 * draw(samples.shape[1], units)).requires_grad_(True) for _ in range(2)]
    optimiser = torch.optim.Adam(weights, lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = samples
        if batch < len(samples):
            chosen = samples[torch.randint(len(samples), (batch,), generator=generator)]
        optimiser.zero_grad()
        loss(*weights, chosen, draw(max(1, 40 // len(chosen)), *chosen.shape), decay).backward()
        optimiser.step()
        schedule.step()
    return weights[0].detach()


def memorising(samples: torch.Tensor, decay: float) -> torch.Tensor:
    """The encoder that stores every sample, (D, n); the decoder is the same."""
    square, count = samples.square().sum(1), len(samples)
    scale = ((square - count * decay) / (square**2 + NOISE**2 * square)).sqrt()
    return (scale[:, None] * samples).T


def generalising(images: Images, samples: torch.Tensor, decay: float) -> torch.Tensor:
    """The encoder that filters every cluster, (D, K (1 + R)); the decoder is the same.

    A block W_k may be rotated from the right: here its columns all lie equally near the mean, so that all are active.
    """
    blocks = []
    for k in range(len(images.means)):
        value, vector = torch.linalg.eigh(images.second_moment(samples, k))
        value, vector = value[-1 - RANK :], vector[:, -1 - RANK :]
        gain = ((value - len(images.means) * decay) / (value + NOISE**2)).clamp(min=0).sqrt()
        root = vector * gain
        toward = root.T @ images.means[k]
        blocks.append(root @ _turn(toward / toward.norm(), torch.full_like(toward, (1 + RANK) ** -0.5)))
    return torch.cat(blocks, 1)


def _turn(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The reflection that exchanges two unit vectors."""
    difference = first - second
    if difference.norm() < 1e-12:
        return torch.eye(len(first), dtype=first.dtype)
    return (
        torch.eye(len(first), dtype=first.dtype) - 2 * torch.outer(difference, difference) / difference.square().sum()
    )


def codes(encoder: torch.Tensor, samples: torch.Tensor) -> np.ndarray:
    """Hidden representation [W1^T x]_+ of samples, (n, units)."""
    return torch.relu(samples @ encoder).numpy()
