"""Weight members by their fit to the observations and resample them: particles over trajectories.

Under guidance with sparse observations some members fall into a wrong mode and have a large misfit. Copies of better
ones replace them, and the noise added afterwards makes the copies differ again (sequential Monte Carlo with the
diffusion model as the move; Del Moral et al. 2006, doi:10.1111/j.1467-9868.2006.00553.x). Weights can be local, so that
good parts of different members combine; noising and denoising again smooths the places where they meet.
"""

import torch

from hindsight.diffusion.guidance import Observations


def misfit(members: torch.Tensor, observations: Observations) -> torch.Tensor:
    """Half the squared departures from the observations in units of their errors; (E, T, N)."""
    here = observations.at(members, lambda: members.new_zeros(members.shape[1]))
    error = torch.where(here.present > 0, here.error, 1.0)
    gap = (here.forward(members) - here.value) / error
    return 0.5 * gap.square() * here.present


def tempered(cost: torch.Tensor, effective: float) -> torch.Tensor:
    """Weights exp(-b cost) that sum to 1, with the largest b <= 1 that leaves an effective number of members.

    Args:
        cost: (E, …); every column has its own weights.
        effective: least effective number 1 / sum w^2 (Kong et al. 1994), 1 … E.
    """
    cost = (cost - cost.min(0).values).double()
    low, high = torch.zeros_like(cost[0]), torch.ones_like(cost[0])
    enough = lambda b: 1 / torch.softmax(-b * cost, 0).square().sum(0) >= effective
    low = torch.where(enough(high), high, low)
    for _ in range(40):
        middle = (low + high) / 2
        good = enough(middle)
        low, high = torch.where(good, middle, low), torch.where(good, high, middle)
    return torch.softmax(-low * cost, 0)


def resampled(weights: torch.Tensor, offset: float) -> torch.Tensor:
    """The member copied to each position: systematic resampling (Kitagawa 1996) in which survivors keep their position.

    Columns with similar weights therefore differ in few members.

    Args:
        weights: (E, P), columns sum to 1.
        offset: of the systematic resampling, 0 to 1.

    Returns:
        (E, P), member numbers 0 … E - 1.
    """
    count = len(weights)
    edges = weights.cumsum(0) * count
    edges[-1] = count
    ends = (edges - offset).ceil().clamp(0, count).long()
    copies = ends.diff(dim=0, prepend=torch.zeros_like(ends[:1]))
    chosen = torch.empty_like(copies)
    for column in range(copies.shape[1]):
        number = copies[:, column]
        spare = torch.repeat_interleave(torch.arange(count, device=number.device), (number - 1).clamp(min=0))
        chosen[:, column] = torch.arange(count, device=number.device)
        chosen[number == 0, column] = spare
    return chosen


def in_time(cost: torch.Tensor, reach: int) -> torch.Tensor:
    """Sum costs (E, T) over frames, with Gaussian weights of standard deviation `reach` (frames); (E, T)."""
    frame = torch.arange(cost.shape[1], device=cost.device, dtype=cost.dtype)
    near = torch.exp(-0.5 * ((frame[:, None] - frame) / max(reach, 1e-3)).square())
    return cost @ near


def take(members: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Members (E, …) in the order `chosen` (E, …), whose dimensions of size 1 are broadcast."""
    index = chosen.expand(members.shape)
    return members.gather(0, index)
