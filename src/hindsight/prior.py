"""A trained prior: the linear prior, the network that corrects it, and their metadata.

One safetensors file with a JSON header holds the weights, channels, grid, scaling, settings of the network and digests.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from hindsight import __version__
from hindsight.backbones import taps
from hindsight.backbones.dit import VideoTransformer
from hindsight.backbones.line import LineNet
from hindsight.backbones.padding import Poles
from hindsight.backbones.unet import VideoUNet
from hindsight.diffusion import composed, denoiser, sigmoid
from hindsight.diffusion.denoiser import Points
from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior
from hindsight.diffusion.guidance import Control
from hindsight.diffusion.guidance.unguided import Cost, Unguided
from hindsight.errors import UserError
from hindsight.fields import calendar
from hindsight.fields.grid import NEAR, Grid
from hindsight.fields.scaling import Scaling
from hindsight.fields.store import replace
from hindsight.fields.transforms import Transforms
from hindsight.settings.lexicon import winds
from hindsight.settings.reanalyse import Sampling
from hindsight.settings.train import Backbone
from hindsight.steering import Steering

AT_ONCE = 2**25  # values of members that are denoised together
CONDITIONS = 4  # numbers for each frame, see `conditions`


@dataclass(frozen=True)
class Metadata:
    """Fields and time step of a prior, its network, and digests of the files that it was trained from."""

    channels: list[str]
    latitude: list[float]
    longitude: list[float]
    edges: list[str]
    step_hours: float
    window: int
    precision: str  # that the network was trained in
    points: bool  # whether it has learnt to use observed points
    backbone: dict
    annual_harmonics: int
    daily_harmonics: int
    made_from: dict
    design: str = "hindsight"
    transforms: str = ""  # of the channels, as JSON; none: no channel has one
    trained_on: list = field(default_factory=list)  # first and last time of each segment of training frames

    @property
    def grid(self) -> Grid:
        """The grid of its fields."""
        return Grid(np.array(self.latitude), np.array(self.longitude))


class Prior(nn.Module):
    """A video diffusion prior of normalised fields."""

    maps: torch.Tensor
    measure: torch.Tensor

    def __init__(self, metadata: Metadata, process: GaussMarkov, scaling: Scaling, maps: torch.Tensor) -> None:
        super().__init__()
        self.metadata, self.process, self.scaling = metadata, process, scaling
        self.register_buffer("maps", maps)
        # the square root of each point's area, or 1 without weights by area (`Scaling`); priors on disk have this name
        self.register_buffer("measure", torch.tensor(scaling.measure, dtype=torch.float32).expand(maps.shape[-2:]))
        self.network = network(metadata, maps)
        self.precision = metadata.precision  # of inference, which may differ
        self.control: Control | None = None  # the controller that an analysis uses, a file of its own
        self.steering: Steering | None = None  # likewise, what is added to the features

    def correction(self, inputs: torch.Tensor, log_sigma: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """Run the network on inputs (B, T, 2 or 4, D), log noise levels (B, T) and conditions (B, T, K); (B, T, D)."""
        shifts = self.steering.shifts(log_sigma) if self.steering else {}
        with taps.shifted(self.network.taps if shifts else {}, shifts):
            return self._correction(inputs, log_sigma, conditions)

    def _correction(self, inputs: torch.Tensor, log_sigma: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        if self.metadata.design == "forcingdas":
            return self._velocity(inputs[:, :, 0], log_sigma)
        windows, frames = log_sigma.shape
        fields = (inputs * self._input_scale).reshape(windows, frames, -1, *self.maps.shape[-2:])
        maps = self.maps.expand(windows, frames, *self.maps.shape)
        with torch.autocast(fields.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            output = self.network(torch.cat([fields, maps], 2), log_sigma / 4, conditions)
        return (output.float() * self.measure).flatten(2)

    def _velocity(self, scaled: torch.Tensor, log_sigma: torch.Tensor) -> torch.Tensor:
        """Minus the velocity that a network as published computes from noisy frames and the indices of their levels."""
        fields = scaled.unflatten(2, (-1, *self.maps.shape[-2:]))
        with torch.autocast(fields.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            velocity = self.network(fields, sigmoid.index_of(log_sigma), fields.new_zeros(*log_sigma.shape, 0))
        return -velocity.float().flatten(2)

    @property
    def _input_scale(self) -> torch.Tensor:
        """Factors of the inputs (…, K, D): one over the area weight for fields, one for noise levels; (K, D)."""
        fields = (1 / self.measure).flatten().repeat(len(self.metadata.channels))
        return torch.stack([fields] * 3 + [torch.ones_like(fields)]) if self.metadata.points else fields[None]

    def denoise(
        self, noisy: torch.Tensor, sigma: torch.Tensor, conditions: torch.Tensor, points: Points | None = None
    ) -> torch.Tensor:
        """Denoise windows (B, T, D) with a noise level for each frame (B, T); see `denoiser.denoise`."""
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
        """Denoise members (E, T, D) with the linear prior over the whole stretch and the network in windows.

        Args:
            noisy: the noisy members.
            posterior: the posterior of the linear prior at the noise levels of the stretch.
            conditions: conditions of each frame (T, K), or of each member's (E, T, K).
            windows: first frames of the windows, see `composed.starts`; other frames get the linear prior alone.
            batch: number of windows in a batch of the network.
            points: observed values, for a prior that has learnt to use them.
            window: number of frames in a window; none: as in training.
        """
        each = max(1, AT_ONCE // noisy[0].numel())
        if each < len(noisy) and conditions.ndim == 2 and points is None:
            more = posterior, conditions, windows, batch, points, window
            return torch.cat([self.denoise_stretch(members, *more) for members in noisy.split(each)])
        sigma, mean = posterior.sigma, posterior.mean(noisy)
        linear = denoiser.linear_estimate(self.process, noisy, sigma, mean, self._points(points, noisy))
        output = composed.compose(
            self.correction,
            windows,
            window or self.metadata.window,
            batch,
            linear.inputs,
            sigma.log(),
            conditions if conditions.ndim == 3 else conditions[None],
        )
        return linear.mean + linear.error * output

    def unguided(
        self, first: int, conditions: torch.Tensor, settings: Sampling, batch: int, cost: Cost | None = None
    ) -> Unguided:
        """The denoiser of some frames, without observations.

        Args:
            first: absolute number of the first frame.
            conditions: of each frame (T, K), or of each member's (E, T, K).
            settings: windows of the network and the noise level of finished frames.
            batch: number of windows in a batch of the network.
            cost: counts network evaluations and backward passes.
        """
        count, cost = conditions.shape[-2], cost or Cost()
        window = min(settings.frames or self.metadata.window, count)
        starts = np.array(composed.starts(first, count, window, settings.stride))

        def estimate(
            noisy: torch.Tensor, posterior: Posterior, falling: torch.Tensor, points: Points | None
        ) -> torch.Tensor:
            falls = falling.cpu().numpy()
            needed = [int(s) for s in starts if falls[s : s + window].any()]
            cost.evaluations += len(needed) * window * len(noisy)
            return self.denoise_stretch(noisy, posterior, conditions, needed, batch, points, window)

        at_once = max(1, batch // len(starts))
        return Unguided(self.process, estimate, settings.fixed_sigma or settings.sigma_min, cost, at_once)

    def _points(self, points: Points | None, noisy: torch.Tensor) -> Points | None:
        """The observed points; an empty set if there are none and the network needs this input."""
        return denoiser.no_points(noisy) if points is None and self.metadata.points else points

    def to(self, device: torch.device) -> "Prior":
        """Move network and linear prior to a device."""
        super().to(device)
        self.process = self.process.to(device)
        return self


def network(metadata: Metadata, maps: torch.Tensor) -> nn.Module:
    """Build the network of a prior, with initial weights.

    Raises:
        UserError: if the kind of network does not suit the fields.
    """
    count, shape = len(metadata.channels), Backbone.model_validate(metadata.backbone)
    if shape.kind == "line" and maps.shape[-2] > 1:
        raise UserError(
            f"train.backbone.kind: line is for fields with a single latitude, and these have {maps.shape[-2]}; set"
            " kind: unet"
        )
    (inputs, conditions), options = input_sizes(metadata, maps), shape.of_kind()
    if shape.kind == "transformer":
        options["levels"] = "index" if metadata.design == "forcingdas" else "logarithm"
    if shape.kind != "line":
        options |= {"shape": tuple(maps.shape[-2:]), "poles": poles(metadata)}
    kind = {"unet": VideoUNet, "transformer": VideoTransformer, "line": LineNet}[shape.kind]
    return kind(inputs, count, conditions, edges=tuple(metadata.edges), **options)


def poles(metadata: Metadata) -> Poles:
    """Which rows of the grid lie on a pole, and which inputs of the network are components of winds."""
    on_pole = [int(abs(abs(latitude) - 90) < NEAR) for latitude in (metadata.latitude[0], metadata.latitude[-1])]
    fields = 1 if metadata.design == "forcingdas" else 3 if metadata.points else 2
    components = [c for pair in winds(metadata.channels) for c in pair]
    turned = [k * len(metadata.channels) + c for k in range(fields) for c in components]
    return Poles((on_pole[0], on_pole[1]), tuple(turned))


def input_sizes(metadata: Metadata, maps: torch.Tensor) -> tuple[int, int]:
    """Number of input fields of the network, static maps included, and number of conditions of each frame."""
    count = len(metadata.channels)
    if metadata.design == "forcingdas":
        return count, 0
    return (4 if metadata.points else 2) * count + len(maps), CONDITIONS


def conditions(times: np.ndarray) -> torch.Tensor:
    """Conditions of each frame: cosine and sine of the time of year and of the time of day; (T, 4)."""
    angles = [2 * np.pi * calendar.year_phase(times), 2 * np.pi * calendar.day_phase(times)]
    return torch.tensor(np.stack([f(a) for a in angles for f in (np.cos, np.sin)], 1), dtype=torch.float32)


def maps(
    grid: Grid, coordinates: bool = True, land: np.ndarray | None = None, orography: np.ndarray | None = None
) -> torch.Tensor:
    """Static maps for the network: coordinates on the sphere, land and orography where given; (M, H, W)."""
    latitude, longitude = np.deg2rad(np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    layers = [
        np.sin(latitude),
        np.cos(latitude) * np.cos(longitude),
        np.cos(latitude) * np.sin(longitude),
    ] * coordinates
    layers += [layer for layer in (land, orography) if layer is not None]
    stack = np.stack(layers) if layers else np.zeros((0, *grid.shape))
    spread = stack.std((1, 2), keepdims=True)
    stack = (stack - stack.mean((1, 2), keepdims=True)) / np.where(spread > 0, spread, 1)
    return torch.tensor(stack, dtype=torch.float32)


def save(prior: Prior, path: Path) -> None:
    """Write a prior, atomically."""
    tensors = {f"network.{name}": value for name, value in prior.network.state_dict().items()}
    tensors |= {f"process.{name}": value for name, value in prior.process.tensors().items()}
    tensors |= {
        "maps": prior.maps,
        "scaling.measure": torch.from_numpy(np.array(prior.scaling.measure, float)),
        "scaling.spread": torch.from_numpy(np.array(prior.scaling.spread, float)),
        "scaling.coefficients": torch.from_numpy(np.array(prior.scaling.coefficients, float)),
    }
    optional = {"transforms", "trained_on"}  # left out if empty: priors without them keep their bytes
    about = {name: value for name, value in vars(prior.metadata).items() if name not in optional or value}
    header = {"hindsight": json.dumps({"version": __version__, **about}, sort_keys=True)}
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    replace(path, lambda partial: save_file(contiguous, partial, header))


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
        prior = _assemble(Metadata(**header), tensors)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} is not a prior that can be read ({error}); run snakemake to train one") from None
    return prior.to(torch.device(device)).eval().requires_grad_(False)


def read_linear(path: Path, climatology: Path, statistics: Path, grid: Grid) -> tuple[GaussMarkov, Scaling]:
    """The linear prior and the normalisation of the fields that it describes.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        process = GaussMarkov.from_tensors(load_file(path))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"cannot read the linear prior {path} ({error}); delete it and run snakemake again") from None
    scaling = Scaling.read(climatology, statistics)
    return process, scaling.weighted_by_area(grid.weights) if process.modes.periodic else scaling


def _assemble(metadata: Metadata, tensors: dict[str, torch.Tensor]) -> Prior:
    part = lambda prefix: {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
    scaling = Scaling(
        tensors["scaling.coefficients"].numpy(),
        tensors["scaling.spread"].numpy(),
        metadata.annual_harmonics,
        metadata.daily_harmonics,
        tensors["scaling.measure"].numpy(),
        Transforms.from_json(metadata.transforms) if metadata.transforms else Transforms(),
    )
    prior = Prior(metadata, GaussMarkov.from_tensors(part("process.")), scaling, tensors["maps"])
    prior.network.load_state_dict(part("network."))
    return prior
