"""A trained controller: a network that steers the roll-outs of a prior towards observations, and its metadata.

One safetensors file with a JSON header holds the weights and what the controller was trained for: the prior, its grid
and time step, the look-ahead and the sampling of the roll-outs.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from hindsight import __version__
from hindsight import prior as priors
from hindsight.backbones.control import ControlNet
from hindsight.backbones.padding import Poles
from hindsight.diffusion.guidance.controlled import CONDITIONS, inputs_of
from hindsight.errors import UserError
from hindsight.fields.store import replace
from hindsight.prior import Prior
from hindsight.settings.controller import ControlNetwork
from hindsight.settings.lexicon import winds
from hindsight.settings.reanalyse import Sampling

SAMPLING = ("context", "sampler", "steps", "fixed_sigma", "sigma_max", "sigma_min", "rho", "frames", "stride")


@dataclass(frozen=True)
class Metadata:
    """What a controller was trained for.

    Attributes:
        prior: SHA-256 of the prior's file.
        channels: of the state.
        grid: latitudes and longitudes, in words.
        step_hours: hours between frames.
        look_ahead: later frames whose observations it sees.
        sampling: settings of its roll-outs, those of `SAMPLING`.
        network: settings of the network.
    """

    prior: str
    channels: list[str]
    grid: str
    step_hours: float
    look_ahead: int
    sampling: dict
    network: dict


class Controller(nn.Module):
    """Scale and shift of denoised estimates.

    Args:
        metadata: what it is trained for.
        prior: the prior that it steers; it is not part of the controller.
    """

    maps: torch.Tensor
    measure: torch.Tensor

    def __init__(self, metadata: Metadata, prior: Prior) -> None:
        super().__init__()
        self.metadata, self.look_ahead = metadata, metadata.look_ahead
        chosen = ControlNetwork.model_validate(metadata.network)
        count, (height, width), edges = len(metadata.channels), prior.maps.shape[-2:], prior.metadata.edges
        self.limits = chosen.scale, chosen.shift
        self.register_buffer("maps", prior.maps.clone(), persistent=False)
        self.register_buffer("measure", prior.measure.clone(), persistent=False)
        fields = inputs_of(self.look_ahead)
        options = chosen.model_dump(include={"width", "blocks", "dilations", "embedding"})
        self.network = ControlNet(
            fields * count + len(prior.maps),
            2 * count,
            CONDITIONS,
            edges=(edges[0], edges[1]),
            shape=(height, width),
            poles=_poles(prior, self.look_ahead),
            **options,
        )

    def forward(
        self, fields: torch.Tensor, log_sigma: torch.Tensor, conditions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift (B, D), as shares of their bounds, from fields (B, K, D), noise (B,) and conditions (B, 2).

        Fields with weights by area are divided by them first; the shift has these weights again.
        """
        area = (1 / self.measure).flatten().repeat(len(self.metadata.channels))
        scaled = torch.cat([fields[:, :3] * area, fields[:, 3:]], 1)  # the first three are states
        image = scaled.reshape(len(fields), -1, *self.maps.shape[-2:])
        maps = self.maps.expand(len(fields), *self.maps.shape)
        scale, shift = self.network(torch.cat([image, maps], 1), log_sigma / 4, conditions).tanh().chunk(2, 1)
        return scale.flatten(1), (shift * self.measure).flatten(1)


def build(prior: Prior, digest: str, network: ControlNetwork, sampling: Sampling) -> Controller:
    """A controller of a prior (with the SHA-256 of its file), with initial weights, which does nothing."""
    about = prior.metadata
    look_ahead = sampling.lag_frames(about.step_hours)
    described = network.model_dump(mode="json")
    return Controller(
        Metadata(digest, about.channels, f"{about.grid}", about.step_hours, look_ahead, recorded(sampling), described),
        prior,
    )


def recorded(sampling: Sampling) -> dict:
    """The settings of roll-outs that a controller depends on."""
    return sampling.model_dump(mode="json", include=set(SAMPLING))


def save(controller: Controller, path: Path) -> None:
    """Write a controller, atomically."""
    header = {"hindsight": json.dumps({"version": __version__, **vars(controller.metadata)}, sort_keys=True)}
    tensors = {name: value.detach().cpu().contiguous() for name, value in controller.network.state_dict().items()}
    replace(path, lambda partial: save_file(tensors, partial, header))


def load(path: Path, prior: Prior, digest: str, sampling: Sampling) -> Controller:
    """Read the controller of a prior (with the SHA-256 of its file), for roll-outs.

    Raises:
        UserError: if the file cannot be read, or belongs to another prior, grid, step, look-ahead or sampling.
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["hindsight"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header.pop("version")
        metadata = Metadata(**header)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is not a controller that can be read ({error}); run snakemake to train one") from None
    if wrong := differences(metadata, prior, digest, sampling):
        raise UserError(
            f"{path} was trained for {'; for '.join(wrong)}; train again (hindsight train.controller, which snakemake "
            "runs), or name the controller of this prior"
        )
    controller = Controller(metadata, prior)
    controller.network.load_state_dict(tensors)
    return controller.to(prior.process.variance.device).eval().requires_grad_(False)


def differences(metadata: Metadata, prior: Prior, digest: str, sampling: Sampling) -> list[str]:
    """What a controller was trained for that is not as it is here, one phrase each."""
    about = prior.metadata
    pairs: list[tuple[str, object, object]] = [
        ("channels", metadata.channels, about.channels),
        ("the grid", metadata.grid, f"{about.grid}"),
        ("hours between frames", metadata.step_hours, about.step_hours),
        ("a look-ahead, in frames, of", metadata.look_ahead, sampling.lag_frames(about.step_hours)),
    ]
    pairs += [(f"reanalyse.{name}", metadata.sampling.get(name), value) for name, value in recorded(sampling).items()]
    found = [f"{what} {its}, and here it is {here}" for what, its, here in pairs if its != here]
    if metadata.prior != digest:
        found.append(f"another prior (SHA-256 {metadata.prior[:12]}…, and here it is {digest[:12]}…)")
    return found


def _poles(prior: Prior, look_ahead: int) -> Poles:
    """Where the poles lie, and which inputs are components of winds: those of the state and of departures."""
    channels = prior.metadata.channels
    components = [c for pair in winds(channels) for c in pair]
    turned = [k * len(channels) + c for k in range(3 + look_ahead + 1) for c in components]
    return Poles(priors.poles(prior.metadata).skipped, tuple(turned))
