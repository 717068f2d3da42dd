"""A trained prior: the closed form, the network beside it, and what both were made for.

One file, safetensors with a JSON header: settings, channels, grid, scaling and digests travel with the weights.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from hindsight import __version__
from hindsight.backbones.dit import VideoTransformer
from hindsight.backbones.line import LineNet
from hindsight.backbones.unet import VideoUNet
from hindsight.diffusion import composed, denoiser, sigmoid
from hindsight.diffusion.denoiser import Points
from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior
from hindsight.errors import UserError
from hindsight.fields import calendar
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.fields.store import replace
from hindsight.settings.train import Backbone

CONDITIONS = 4  # numbers each frame is told, see `conditions`


@dataclass(frozen=True)
class About:
    """What a prior was made for, and from what."""

    channels: list[str]
    latitude: list[float]
    longitude: list[float]
    edges: list[str]
    step_hours: int
    window: int
    precision: str  # that the network was trained in
    points: bool  # whether it has learnt levels of points
    backbone: dict
    annual_harmonics: int
    daily_harmonics: int
    made_from: dict
    design: str = "coloured"

    @property
    def grid(self) -> Grid:
        """The grid of its fields."""
        return Grid(np.array(self.latitude), np.array(self.longitude))


class Prior(nn.Module):
    """A video diffusion prior over normalised fields."""

    def __init__(self, about: About, process: GaussMarkov, scaling: Scaling, maps: torch.Tensor) -> None:
        super().__init__()
        self.about, self.process, self.scaling = about, process, scaling
        self.register_buffer("maps", maps)
        self.register_buffer("measure", torch.tensor(scaling.measure, dtype=torch.float32).expand(maps.shape[-2:]))
        self.network = network(about, maps)
        self.precision = about.precision  # that it runs in

    def correction(self, inputs: torch.Tensor, log_sigma: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """The network: (B, T, 2 or 4, D), (B, T), (B, T, K) to (B, T, D)."""
        if self.about.design == "forcingdas":
            return self._velocity(inputs[:, :, 0], log_sigma)
        windows, frames = log_sigma.shape
        fields = (inputs * self._view).reshape(windows, frames, -1, *self.maps.shape[-2:])
        maps = self.maps.expand(windows, frames, *self.maps.shape)
        with torch.autocast(fields.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            output = self.network(torch.cat([fields, maps], 2), log_sigma / 4, conditions)
        return (output.float() * self.measure).flatten(2)

    def _velocity(self, scaled: torch.Tensor, log_sigma: torch.Tensor) -> torch.Tensor:
        """The network as published: it sees the noisy frames alone and the indices of their levels, and tells -v."""
        fields = scaled.unflatten(2, (-1, *self.maps.shape[-2:]))
        with torch.autocast(fields.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            velocity = self.network(fields, sigmoid.index_of(log_sigma), fields.new_zeros(*log_sigma.shape, 0))
        return -velocity.float().flatten(2)

    @property
    def _view(self) -> torch.Tensor:
        """What inputs (…, K, D) are multiplied by: fields stand for areas, levels do not; (K, D)."""
        fields = (1 / self.measure).flatten().repeat(len(self.about.channels))
        return torch.stack([fields] * 3 + [torch.ones_like(fields)]) if self.about.points else fields[None]

    def denoise(
        self, noisy: torch.Tensor, sigma: torch.Tensor, conditions: torch.Tensor, points: Points | None = None
    ) -> torch.Tensor:
        """Denoise windows (B, T, D) with a noise level each frame (B, T); see `denoiser.denoise`."""
        points = self._points(points, noisy)
        return denoiser.denoise(self.process, self.correction, noisy, sigma, conditions, points=points)

    def denoise_stretch(
        self,
        noisy: torch.Tensor,
        posterior: Posterior,
        conditions: torch.Tensor,
        windows: list[int],
        batch: int,
        points: Points | None = None,
        window: int | None = None,
    ) -> torch.Tensor:
        """Denoise members of a long stretch (E, T, D): the closed form over all of it, the network in windows.

        Args:
            noisy: the members.
            posterior: the closed form's, at the stretch's noise levels.
            conditions: of each frame (T, K).
            windows: where windows begin, see `composed.starts`; frames in none of them are left to the closed form.
            batch: windows the network sees at once.
            points: observed values, for a prior that has learnt to use them.
            window: frames in a window; none: as many as in training.
        """
        sigma, mean = posterior.sigma, posterior.mean(noisy)
        linear = denoiser.linear_estimate(self.process, noisy, sigma, mean, self._points(points, noisy))
        output = composed.compose(
            self.correction, windows, window or self.about.window, batch, linear.inputs, sigma.log(), conditions[None]
        )
        return linear.mean + linear.error * output

    def _points(self, points: Points | None, noisy: torch.Tensor) -> Points | None:
        """A prior that has learnt levels of points is always shown some, if only that there are none."""
        return denoiser.no_points(noisy) if points is None and self.about.points else points

    def to(self, device: torch.device) -> "Prior":
        """Move to a device, the closed form with it."""
        super().to(device)
        self.process = self.process.to(device)
        return self


def network(about: About, maps: torch.Tensor) -> nn.Module:
    """The network that a prior is made with, its weights fresh.

    Raises:
        UserError: if the kind of network does not suit the fields.
    """
    count, shape, published = len(about.channels), Backbone.model_validate(about.backbone), about.design == "forcingdas"
    if shape.kind == "line" and maps.shape[-2] > 1:
        raise UserError(
            f"train.backbone.kind: line is for fields with a single latitude, and these have {maps.shape[-2]}; set"
            " kind: unet"
        )
    (inputs, told), own = shown(about, maps), shape.of_kind()
    if shape.kind == "transformer":
        own |= {"shape": tuple(maps.shape[-2:]), "levels": "index" if published else "logarithm"}
    kind = {"unet": VideoUNet, "transformer": VideoTransformer, "line": LineNet}[shape.kind]
    return kind(inputs, count, told, edges=tuple(about.edges), **own)


def shown(about: About, maps: torch.Tensor) -> tuple[int, int]:
    """How many fields a prior's network is shown, static maps included, and how many numbers each frame is told."""
    count = len(about.channels)
    if about.design == "forcingdas":
        return count, 0
    return (4 if about.points else 2) * count + len(maps), CONDITIONS


def conditions(times: np.ndarray) -> torch.Tensor:
    """What each frame is told: cosine and sine of the time of year and of the time of day; (T, 4)."""
    angles = [2 * np.pi * calendar.year_phase(times), 2 * np.pi * calendar.day_phase(times)]
    return torch.tensor(np.stack([f(a) for a in angles for f in (np.cos, np.sin)], 1), dtype=torch.float32)


def maps(
    grid: Grid, place: bool = True, land: np.ndarray | None = None, orography: np.ndarray | None = None
) -> torch.Tensor:
    """What each point is told: where on the sphere it is, if `place`, land and orography where given; (M, H, W)."""
    latitude, longitude = np.deg2rad(np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    layers = [np.sin(latitude), np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude)] * place
    layers += [layer for layer in (land, orography) if layer is not None]
    stack = np.stack(layers) if layers else np.zeros((0, *grid.shape))
    spread = stack.std((1, 2), keepdims=True)
    stack = (stack - stack.mean((1, 2), keepdims=True)) / np.where(spread > 0, spread, 1)
    return torch.tensor(stack, dtype=torch.float32)


def save(prior: Prior, path: Path) -> None:
    """Write a prior, whole or not at all."""
    tensors = {f"network.{name}": value for name, value in prior.network.state_dict().items()}
    tensors |= {f"process.{name}": value for name, value in prior.process.tensors().items()}
    tensors |= {
        "maps": prior.maps,
        "scaling.measure": torch.from_numpy(np.array(prior.scaling.measure, float)),
        "scaling.spread": torch.from_numpy(np.array(prior.scaling.spread, float)),
        "scaling.coefficients": torch.from_numpy(np.array(prior.scaling.coefficients, float)),
    }
    header = {"hindsight": json.dumps({"version": __version__, **vars(prior.about)}, sort_keys=True)}
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    replace(path, lambda partial: save_file(whole, partial, header))


def load(path: Path, device: str = "cpu") -> Prior:
    """Read a prior.

    Raises:
        UserError: if the file is missing, unreadable or not a prior.
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["hindsight"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header.pop("version")
        prior = _assembled(About(**header), tensors)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is not a prior that can be read ({error}); run snakemake to train one") from None
    return prior.to(torch.device(device)).eval().requires_grad_(False)


def _assembled(about: About, tensors: dict[str, torch.Tensor]) -> Prior:
    part = lambda prefix: {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
    scaling = Scaling(
        tensors["scaling.coefficients"].numpy(),
        tensors["scaling.spread"].numpy(),
        about.annual_harmonics,
        about.daily_harmonics,
        tensors["scaling.measure"].numpy(),
    )
    prior = Prior(about, GaussMarkov.from_tensors(part("process.")), scaling, tensors["maps"])
    prior.network.load_state_dict(part("network."))
    return prior
