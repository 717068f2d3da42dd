"""Training throughput of networks, precisions and compilation, relative to the peak of the device.

    python benchmarks/training.py --json results/training.json

Runs training steps (loss, backward pass, AdamW) on doubly periodic windows of 64 x 64 points. Writes a list of
`{"backbone", "dtype", "compiled", "frames_per_second", "peak_share", "device", …}`. `peak_share` is relative to the
fastest matrix product of that precision in the same run; the operations of a step are counted (forward, and twice that
for the backward pass). The first entry's `loader_share` is the share of the time that the loop waited for batches from
the store, `loader_share_streaming` the same without frames in memory. On a GPU the published DiT-B with 30 frames of
4 x 240 x 120 is measured too: its memory, the time of a step and the hours of 200,000 steps. `--quick` takes few steps
of small networks.
"""

import argparse
import json
import time
from pathlib import Path

import cases
import torch

from hindsight import machine
from hindsight import prior as priors
from hindsight.backbones import size
from hindsight.fields.scaling import Scaling
from hindsight.prior import Prior
from hindsight.settings import Train, load
from hindsight.settings.domain import TrainingDomain
from hindsight.train import loop
from hindsight.train.batches import Batch
from hindsight.train.prior import windows
from hindsight.train.team import Team

BACKBONES = {
    "unet": {"kind": "unet", "width": 32, "multipliers": [1, 2, 2], "patch": 2},
    "transformer": {"kind": "transformer", "width": 128, "depth": 4, "heads": 4, "patch": 4, "embedding": 128},
}
SMALL = {
    "unet": {"kind": "unet", "width": 8, "multipliers": [1, 2], "blocks": 1},
    "transformer": {"kind": "transformer", "width": 32, "depth": 2, "heads": 2, "patch": 4},
}
KEPT = {"loader_share": 1000, "loader_share_streaming": 1}  # MB of frames
PUBLISHED = {"design": "forcingdas", "window": 30, "batch": 4, "recompute": True, "compile": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6, help="timed, after two that are not")
    parser.add_argument("--quick", action="store_true", help="a minute: a check that it runs")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device = torch.device(machine.device("auto"))
    found = []
    for name, backbone in (SMALL if chosen.quick else BACKBONES).items():
        for dtype in ("float32", "bfloat16"):
            for compiled in (False, True):
                given = {"backbone": backbone, "compile": compiled, "precision": dtype, "coordinates": False}
                settings = Train.model_validate(given | {"window": 12, "batch": 2 if device.type == "cpu" else 32})
                row = timed(square(settings), settings, device, 2 if chosen.quick else chosen.steps)
                found.append(
                    {"backbone": name, "dtype": dtype, "compiled": compiled, **row, "device": cases.device_name(device)}
                )
                found[-1]["peak_flop_per_second"] = fastest(device, dtype == "bfloat16")  # at the same time
                found[-1]["peak_share"] = found[-1]["flop_per_second"] / found[-1]["peak_flop_per_second"]
                print(json.dumps(found[-1]), flush=True)
                cases.write(found, chosen.json)
    found[0] |= {name: waiting(device, chosen.quick, memory) for name, memory in KEPT.items()}
    if device.type == "cuda":
        found.append(published(device, chosen.steps))
    print(json.dumps(found[0]), flush=True)
    cases.write(found, chosen.json)


def fastest(device: torch.device, half: bool) -> float:
    """Operations per second of a large matrix product, the best of several runs."""
    count = 8192 if device.type == "cuda" else 2048
    kind = torch.bfloat16 if half else torch.float32
    a, b = (torch.randn(count, count, device=device, dtype=kind) for _ in range(2))
    return 2 * count**3 / min(seconds(lambda: a @ b, device) for _ in range(6))


def seconds(work: object, device: torch.device) -> float:
    """Seconds that a function takes, including its work on the device."""
    wait = (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)
    wait()
    began = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def square(settings: Train) -> Prior:
    """A prior of one channel on a doubly periodic grid of 64 x 64 points."""
    return cases.blank(settings, (1, 64, 64), ["periodic", "periodic"])


def timed(model: Prior, settings: Train, device: torch.device, steps: int) -> dict:
    """Frames per second and operations per second of whole training steps."""
    torch._dynamo.reset()  # it gives up on a function after some variants
    model = model.to(device)
    batch = noise(model, settings).to(device)
    model.network.recompute = settings.recompute
    loss = loop.Loss(model.train(), settings)
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    first = seconds(
        lambda: loop.optimiser_step(compiled(loss, settings), batch, settings, optimiser, 0, Team()), device
    )
    loop.optimiser_step(loss, batch, settings, optimiser, 1, Team())
    each = min(
        seconds(lambda: loop.optimiser_step(loss, batch, settings, optimiser, 2, Team()), device) for _ in range(steps)
    )
    frames, (inputs, conditions) = settings.batch * settings.window, priors.input_sizes(model.metadata, model.maps)
    work = size.flops(model.network, inputs, conditions, settings.window, tuple(model.maps.shape[-2:]))
    return {
        "frames_per_second": frames / each,
        "flop_per_second": 3 * work * frames / each,
        "seconds_per_step": each,
        "seconds_first_step": first,
        "parameters": size.parameters(model.network),
        "gflop_per_frame": work / 1e9,
        "batch": settings.batch,
        "window": settings.window,
    }


def compiled(loss: loop.Loss, settings: Train) -> loop.Loss:
    """Compile the loss if the settings ask for it."""
    if settings.compile:
        loss.prior.network.compile()
    return loss


def noise(model: Prior, settings: Train) -> Batch:
    """A batch of noise."""
    size_of = (settings.batch, settings.window, model.process.size)
    generator = torch.Generator().manual_seed(0)
    clean, white = torch.randn(2, *size_of, generator=generator).unbind(0)
    sigma = torch.rand(size_of[:2], generator=generator) + 0.5
    return Batch(clean, clean + sigma[..., None] * white, sigma, torch.zeros(*size_of[:2], 4))


def waiting(device: torch.device, quick: bool, memory: float) -> float:
    """Share of the time that the loop waits for batches from the store of config/navier_stokes.yaml.

    `memory` MB of frames are kept; the first pass over them, which fills that memory, is not timed.
    """
    name, more = ("resume", cases.SHORT_SQUARE) if quick else ("navier_stokes", None)
    run = cases.make(f"results/{name}/train/linear_prior.safetensors", cases.SQUARE, more).parents[1]
    domain, settings = load(run / "settings/train.json", [TrainingDomain, Train])
    seen = Scaling.read(run / "preprocess/climatology.nc", run / "preprocess/statistics.nc")
    settings = settings.model_copy(update={"cache_mb": memory})
    training = windows(domain, settings, "train", run / "preprocess/fields.zarr", seen)
    if memory > 1:
        training.read(0, len(training.conditions))
    return cases.waiting(training, square(settings).to(device), settings, 3 if quick else 12)["waiting_share"]


def published(device: torch.device, steps: int) -> dict:
    """The published DiT-B on their ERA5 windows, on one GPU."""
    settings = Train.model_validate(PUBLISHED)
    torch.cuda.reset_peak_memory_stats(device)
    row = timed(cases.blank(settings, (4, 240, 120), ["periodic", "open"]), settings, device, steps)
    return {
        "backbone": "DiT-B, 30 frames of 4 x 240 x 120, activations computed again",
        "dtype": "bfloat16",
        "compiled": False,
        **row,
        "peak_share": row["flop_per_second"] / fastest(device, True),
        "memory_gb": torch.cuda.max_memory_allocated(device) / 1e9,
        "hours_of_200000_steps": 200_000 * row["seconds_per_step"] / 3600,
        "device": cases.device_name(device),
    }


if __name__ == "__main__":
    main()
