"""What a sampler walks in: a prior, the observations of a stretch of frames, members and their random numbers."""

import numpy as np
import torch

from hindsight import prior as priors
from hindsight.diffusion import composed, frame_random, selection
from hindsight.diffusion.denoiser import Points
from hindsight.diffusion.gauss_markov import Posterior
from hindsight.diffusion.guidance import Denoiser
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.diagonal import Diagonal
from hindsight.diffusion.guidance.dps import Dps
from hindsight.diffusion.guidance.forcing import Forcing, Spectrum
from hindsight.diffusion.guidance.fused import Fused
from hindsight.diffusion.guidance.mmps import Mmps
from hindsight.diffusion.guidance.sda import Sda
from hindsight.diffusion.guidance.unguided import Cost, Unguided
from hindsight.diffusion.plan import Cycle
from hindsight.diffusion.sampler import AGES
from hindsight.errors import UserError
from hindsight.fields import calendar
from hindsight.fields.grid import great_circle
from hindsight.operators.observed import Observed
from hindsight.prior import Prior
from hindsight.settings import Reanalyse
from hindsight.settings.reanalyse import OWN


class Scene:
    """A stretch of frames to be analysed.

    Args:
        prior: trained.
        times: of the frames, T.
        seen: their observations.
        members: numbers, E of them.
        seed: of the product.
        settings: guidance and levels.
        attempt: how often it was tried before; each has its own random numbers.
    """

    def __init__(
        self,
        prior: Prior,
        times: np.ndarray,
        seen: Observed,
        members: list[int],
        seed: int,
        settings: Reanalyse,
        attempt: int = 0,
    ) -> None:
        self.prior, self.members, self.seed, self.settings = prior, members, seed, settings
        self.device = prior.maps.device
        self.seen = seen.each(lambda value: value.to(self.device))
        self.frames = calendar.frame_number(times, prior.about.step_hours)
        self.told = priors.conditions(times).to(self.device)
        self.cost, self.attempt, self._known = Cost(), attempt, {}
        self.window = settings.frames or prior.about.window

    def noise(
        self, view: slice, steps: np.ndarray, purpose: str, size: int | torch.Tensor | None = None
    ) -> torch.Tensor:
        """White noise of some frames, (E, V, size), or of observations, given their keys (V, N)."""
        size = self.prior.process.size if size is None else size
        steps = steps + self.attempt * AGES**2
        if isinstance(size, torch.Tensor):
            return frame_random.of_keys(self.seed, self.members, size, steps, purpose).to(self.device)
        return frame_random.normal(self.seed, self.members, self.frames[view], steps, purpose, size).to(self.device)

    def denoiser(self, view: slice) -> Denoiser:
        """The guided denoiser of some frames, which knows the observations of no other."""
        seen, settings, method = self.seen.frames(view), self.settings, self.settings.guidance.method
        prior, own = self._unguided(view), self._own()
        solver = (settings.solver_tolerance, settings.solver_iterations, self._known)
        if method == "analytic":
            return Analytic(prior, seen, *solver)
        if method == "fused":
            return Fused(prior, seen, *solver, points=self._points(seen))
        return {"mmps": Mmps, "sda": Sda, "dps": Dps, "forcing": Forcing, "diagonal": Diagonal}[method](
            prior, seen, **own
        )

    def weigh(self, members: torch.Tensor, cycle: Cycle) -> torch.Tensor:
        """Resample members (E, V, D) by their misfits to the observations of a cycle."""
        seen, sliding = self.seen.frames(cycle.view), self.settings.regime == "sliding"
        chosen = self.settings.window if sliding else self.settings.selection
        misfit = selection.misfit(members, seen)
        effective = max(1.0, chosen.effective * len(members))
        along = frame_random.uniform(self.seed, int(self.frames[cycle.first]), int(cycle.age[0]), "select")
        if not sliding:
            reach = max(1, int(chosen.reach_hours // self.prior.about.step_hours))
            cost = selection.in_time(misfit.sum(2), reach)
            weights = selection.tempered(cost, effective)  # (E, V)
            return selection.take(members, selection.resampled(weights, along)[..., None])
        if chosen.reach_km is None:
            weights = selection.tempered(misfit.sum((1, 2))[:, None], effective)
            return selection.take(members, selection.resampled(weights, along)[..., None])
        near = self._near(seen, chosen.reach_km)  # (V, N, H * W)
        weights = selection.tempered(torch.einsum("evn,vnp->ep", misfit, near), effective)
        places = selection.resampled(weights, along).repeat(1, len(self.prior.about.channels))
        return selection.take(members, places[:, None])

    def _unguided(self, view: slice) -> Unguided:
        """The prior alone, over some frames."""
        first, count = int(self.frames[view][0]), len(self.frames[view])
        window = min(self.window, count)
        starts = np.array(composed.starts(first, count, window, self.settings.stride))

        def estimate(
            noisy: torch.Tensor, posterior: Posterior, moving: torch.Tensor, points: Points | None
        ) -> torch.Tensor:
            wanted = moving.cpu().numpy()
            needed = [int(s) for s in starts if wanted[s : s + window].any()]
            self.cost.evaluations += len(needed) * window * len(noisy)
            return self.prior.denoise_stretch(
                noisy, posterior, self.told[view], needed, self.settings.batch, points, window
            )

        at_once = max(1, self.settings.batch // len(starts))
        held = self.settings.held or self.settings.sigma_min
        return Unguided(self.prior.process, estimate, held, self.cost, at_once)

    def _own(self) -> dict:
        """The chosen guidance's own settings, those that are given."""
        chosen = self.settings.guidance
        own = {name: getattr(chosen, name) for name, methods in OWN.items() if chosen.method in methods}
        if chosen.method == "mmps":
            own["iterations"] = chosen.iterations
        if own.get("spectral"):
            shape = (len(self.prior.about.channels), *self.prior.maps.shape[-2:])
            own["spectrum"] = Spectrum.of(self.prior.process, shape)
        return {name: value for name, value in own.items() if value is not None}

    def _points(self, seen: Observed) -> Points:
        """Observations as values of the state.

        Raises:
            UserError: if some lie between grid points, or are means of several.
        """
        found = seen.on_values(self.prior.process.size)
        if found is None:
            raise UserError(
                "guidance 'fused' serves observations of grid values, and some lie between grid points or are means of "
                "several; set "
                "reanalyse.guidance.method: analytic, or mmps"
            )
        value, precision = found
        return Points(value[None], precision[None])

    def _near(self, seen: Observed, reach: float) -> torch.Tensor:
        """How much each observation counts for each place, exp(-(distance / reach)^2 / 2); (V, N, H * W)."""
        latitude, longitude = np.meshgrid(self.prior.about.latitude, self.prior.about.longitude, indexing="ij")
        place = seen.point[..., 0].cpu().numpy() % latitude.size
        distance = great_circle(
            latitude.ravel()[place][..., None],
            longitude.ravel()[place][..., None],
            latitude.ravel(),
            longitude.ravel(),
        )
        near = torch.as_tensor(np.exp(-0.5 * (distance / reach) ** 2), dtype=torch.float32)
        return near.to(self.device)
