"""How much have priors memorised, and what does steering change?

    make demo
    python benchmarks/audit.py --runs results/demo [results/barometers ...] [--frames 60] [--json results/audit.json]

Writes

- `priors`: of each finished run what its audit found: AUROC of training over held-out frames (0.5: no difference) of
  the two statistics of the representation and of the skill beside the linear prior, the largest excess, and copies;
- `memoriser`: the same of a prior of twenty windows of a world of two states, and by strength of steering the median
  distance of frames of its samples to the nearest training frame, over that of held-out frames;
- `steering`: of each run, by strength, the fair CRPS of an analysis of the first frames of its test period over that
  without steering, largest of all channels.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import cases
import numpy as np
import torch

sys.path.insert(0, str(cases.ROOT))

from hindsight import machine, steering  # noqa: E402
from hindsight import prior as priors  # noqa: E402
from hindsight.fields import observations as tables  # noqa: E402
from hindsight.fields import store  # noqa: E402
from hindsight.progress import Progress  # noqa: E402
from hindsight.settings import Settings  # noqa: E402
from hindsight.train import audit  # noqa: E402
from tests.train import test_audit as worlds  # noqa: E402

STRENGTHS = (0.0, 4.0, 8.0, 16.0, 32.0)
KEPT = ("auroc", "lower", "upper")


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", nargs="*", type=Path, default=[cases.ROOT / "results/demo"])
    parser.add_argument("--frames", type=int, default=60, help="of the analyses that are steered")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--json", type=Path, help="where the figures go")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        "priors": {run.name: summary(json.loads((run / "train/audit.json").read_text())) for run in chosen.runs},
        "memoriser": memoriser(),
        "steering": {run.name: steered(run, chosen.frames, chosen.members) for run in chosen.runs},
        "processor": machine.device_name(),
    }
    print(json.dumps(found, indent=1))
    cases.write(found, chosen.json)


def summary(found: dict) -> dict:
    """The figures by which an audit judges."""
    return {
        **{name: {key: value[key] for key in KEPT} for name, value in found["judged"].items()},
        "excess": max(level["excess"] for level in found["levels"]),
        "copies": found["neighbours"]["fields"]["copies"],
    }


def memoriser() -> dict:
    """The audit of a prior of twenty windows, and how far its samples are from them, by strength."""
    with tempfile.TemporaryDirectory() as folder:
        prior, seen = worlds.few_windows(Path(folder))
    later = worlds.held_out()
    periods = audit.respond(prior, seen, later, worlds.VIDEO)
    stored, others = (torch.tensor(windows.read(0, len(windows.times))) for windows in (seen, later))
    typical = worlds.distance(others, stored)
    directions, ratio = audit.directions(periods), {}
    for strength in STRENGTHS:
        prior.steering = steering.Steering(directions, steering.Settings(strength=strength))
        ratio[strength] = round(worlds.distance(worlds.samples(prior), stored) / typical, 3)
    return summary(audit.measure(prior, seen, later, worlds.VIDEO, periods)) | {"distance": ratio}


def steered(run: Path, frames: int, members: int) -> dict[float, float]:
    """Fair CRPS of an analysis at each strength over that without steering, the largest of all channels."""
    chosen, case = of_run(run, frames)
    path = run / "train/steering.safetensors"
    digest = hashlib.sha256((run / "train/prior.safetensors").read_bytes()).hexdigest()
    found, watch = {}, Progress(f"steering {run.name}", len(STRENGTHS), "strengths")
    for number, strength in enumerate(STRENGTHS):
        watch(number)
        case.prior.steering = steering.load(path, digest, steering.Settings(strength=strength))
        found[strength] = np.array(case.scores(case.analysed(chosen.reanalyse, members).fields)["crps"])
    watch(len(STRENGTHS))
    return {strength: round(float((crps / found[0.0]).max()), 4) for strength, crps in found.items()}


def of_run(run: Path, frames: int) -> tuple[Settings, cases.Case]:
    """The first frames of a run's test period with the observations of its archived network."""
    chosen = Settings.model_validate_json((run / cases.CONFIGURATION).read_text())
    period = chosen.domain.test
    truth = store.read(run / "preprocess/fields.zarr")["fields"].sel(time=slice(period.start, period.end))[:frames]
    times = truth["time"].values
    paths = sorted((run / f"observe/{chosen.archived_network}").glob("*.parquet"))
    table = tables.usable(tables.read(paths, times[0], times[-1]))
    prior = priors.load(run / "train/prior.safetensors", machine.device("auto"))
    return chosen, cases.Case(prior, times, truth.values, table, slice(None))


if __name__ == "__main__":
    main()
