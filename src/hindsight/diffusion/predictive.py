"""How well members foresee observations that they have not used yet: the predictive likelihood of new frames.

A particle filter weighs its members before an observation guides them; weights of members that it has guided already
count it twice (Doucet et al. 2000, doi:10.1023/A:1008935410038). With a member's noisy frames z, the observations y_1
of these frames, and those y_2 of the frames about to enter, the weight is

    p(y_2 | z, y_1) = p(y_1, y_2 | z) / p(y_1 | z),    p(y | z) = N(y; H E[x | z], H P H^T + R),

P the posterior covariance of the linear prior, which all members share. E[x | z] in the new frames is one evaluation of
the denoiser at pure noise (Savary et al. 2025, arXiv:2509.18811, theorem A.1). For a linear-Gaussian prior the weights
are exact at any noise levels. With P left out they are those of that paper.
"""

import torch

from hindsight.diffusion import selection
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided


def mean(
    prior: Unguided, noisy: torch.Tensor, level: torch.Tensor, highest: torch.Tensor, white: torch.Tensor
) -> torch.Tensor:
    """E[x | noisy], where the frames with infinite levels are new.

    It is the linear prior's mean plus what the network adds to it, for which new frames are brought to `highest`.

    Args:
        prior: the unguided denoiser of the frames.
        noisy: fields (E, T, D); those of new frames do not count.
        level: of each frame, (T,).
        highest: noise level where sampling begins, of each frame, (T,).
        white: white noise (E, T, D).
    """
    new = torch.isinf(level)
    linear = prior.posterior(level).mean(torch.where(new[:, None], 0.0, noisy))
    above = torch.where(new, highest, level)
    started = torch.where(new[:, None], linear + highest[:, None] * white, noisy)
    added = prior.mean(started, above, torch.zeros_like(above)) - prior.posterior(above).mean(started)
    return torch.where((above > 0)[:, None], linear + added, linear)


def misfit(
    guidance: Analytic,
    noisy: torch.Tensor,
    level: torch.Tensor,
    highest: torch.Tensor,
    white: torch.Tensor,
    covariance: bool = True,
) -> torch.Tensor:
    """Terms by observation, (E, T, N), whose sum is -log p(y_2 | z, y_1) up to a constant.

    Args:
        guidance: with the observations of the frames.
        noisy: see `mean`, also for the next three.
        level: of each frame.
        highest: noise level where sampling begins, of each frame.
        white: white noise.
        covariance: whether the members' predictions have the covariance P; without it they count as certain.

    Raises:
        ArithmeticError: if the observation solver does not reach its tolerance.
    """
    prior, observations = guidance.prior, guidance.observations
    clean = mean(prior, noisy, level, highest, white)
    new, certain = torch.isinf(level), level <= prior.fixed_sigma
    uncertain, later = observations.depends(~certain), observations.depends(new)
    if not covariance:
        return selection.misfit(clean, observations.masked(later))
    posterior = prior.posterior(level)
    cost = lambda mask: guidance.with_observations(observations.masked(mask)).half_squares(clean, posterior)
    return cost(uncertain) - cost(uncertain & ~later)
