"""The guidance of ForcingDAS (arXiv:2605.14285): a step down the gradient of the misfit, weighted frame by frame.

Their sample moves by -zeta grad L after a step, L = || w (y - H D) || (+ lambda times a misfit of the spectrum of D to
the prior's), w_k = (R + gamma sigma_k^2)^-1/2 with each frame's own level. The paper's norm runs over all
frames and members, so that the step of a frame depends on their number; here each frame of each member has its own
norm.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.guidance import Observations, Setup, falling, linearise
from hindsight.diffusion.guidance.dps import shift_factor
from hindsight.diffusion.guidance.unguided import Unguided


class Forcing:
    """Denoised estimates, shifted so that a deterministic sampling step gives the result of the published step.

    Args:
        prior: the unguided denoiser.
        observations: of the frames that the prior denoises.
        gamma: growth of the variance of the misfit with sigma^2.
        zeta: length of the step.
        spectral: weight of the spectral misfit, lambda; 0 leaves it out.
        spectrum: mean spectrum of the prior's fields, needed where `spectral` is not 0.
    """

    def __init__(
        self,
        prior: Unguided,
        observations: Observations,
        gamma: float = 0.01,
        zeta: float = 0.1,
        spectral: float = 0.0,
        spectrum: "Spectrum | None" = None,
    ) -> None:
        self.prior, self.observations = prior, observations
        self.gamma, self.zeta, self.spectral, self.spectrum = gamma, zeta, spectral, spectrum
        self.start = prior.start

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """The shifted estimate (E, T, D)."""
        active = falling(above, below)[:, None]

        def guided(clean: torch.Tensor, back: Callable, members: slice) -> torch.Tensor:
            obs = linearise(self.observations, clean, self.prior.process, above)
            innovation = (obs.value * obs.present - obs.forward(clean)) * active
            square = (obs.error.square() + self.gamma * above.square()[:, None]).clamp(min=1e-12).reciprocal()
            norm = (square * innovation.square()).sum(2, keepdim=True).sqrt().clamp(min=1e-12)
            pull = obs.adjoint(square * innovation / norm, clean.shape[-1])
            if self.spectral:
                pull = pull - self.spectral * self.spectrum.gradient(clean, above) * active
            return clean + self.zeta * shift_factor(above, below) * back(pull)

        return self.prior.with_jacobian(noisy, above, below, guided)


def build(setup: Setup, gamma: float = 0.01, zeta: float = 0.1, spectral: float = 0.0) -> Forcing:
    """The guidance with `gamma`, `zeta` and `spectral`."""
    spectrum = Spectrum.of(setup.prior.process, setup.shape) if spectral else None
    return Forcing(setup.prior, setup.observations, gamma, zeta, spectral, spectrum)


@dataclass(frozen=True)
class Spectrum:
    """Mean power of the prior's fields in n_b bins of wavenumber, (C, n_b), and the shape (C, H, W) of a field."""

    power: torch.Tensor
    shape: tuple[int, int, int]
    sharpness: float = 5.0

    @classmethod
    def of(cls, process: GaussMarkov, shape: tuple[int, int, int]) -> "Spectrum":
        """The spectrum of the linear prior: the sum over its modes of variance times power."""
        modes = process.modes.expand(torch.eye(len(process.variance), device=process.modes.device))
        power = _binned(modes.view(-1, *shape))
        return cls((process.variance[:, None, None] * power).sum(0), shape)

    def gradient(self, clean: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Gradient with respect to the fields (E, T, D) of (1 / n_b) sum_b f_b (log P_b - log Q_b)^2.

        P_b is the power of the fields in bin b, Q_b that of the prior; f_b = sigmoid(s (n_b abar - b)) with s the
        sharpness and abar = 1 / (1 + sigma^2), so that small scales count only at low noise.
        """
        bins = self.power.shape[-1]
        below_cutoff = 1 / (1 + level.square())[:, None] * bins - torch.arange(bins, device=level.device)
        weight = torch.sigmoid(self.sharpness * below_cutoff)[None, :, None]
        with torch.enable_grad():
            fields = clean.detach().requires_grad_(True)
            power = _binned(fields.view(*clean.shape[:2], *self.shape))
            difference = (power + 1e-8).log() - (self.power + 1e-8).log()
            misfit = (weight * difference.square()).sum() / bins
        return torch.autograd.grad(misfit, fields)[0]


def _binned(fields: torch.Tensor) -> torch.Tensor:
    """Power of fields (…, H, W) averaged over rings of wavenumber: (…, n_b)."""
    height, width = fields.shape[-2:]
    power = torch.fft.rfft2(fields, norm="ortho").abs().square()
    frequency = torch.hypot(
        torch.fft.fftfreq(height, device=fields.device)[:, None], torch.fft.rfftfreq(width, device=fields.device)
    )
    ring = (frequency * max(height, width)).floor().long().flatten()
    bins = max(1, (min(height, width) if height > 1 else width) // 2)
    inside = torch.nn.functional.one_hot(ring.clamp(max=bins), bins + 1)[:, :bins].to(power.dtype)
    return power.flatten(-2) @ inside / inside.sum(0).clamp(min=1)
