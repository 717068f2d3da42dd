"""What a process of `test_team.py` does: train the small prior, and write down how that ended."""

import json
import os
import sys
import time
from pathlib import Path

from hindsight import signals
from hindsight.settings import Train
from hindsight.train import loop
from hindsight.train.team import join
from tests.train import helpers


def main(folder: Path, processes: int, accumulate: int, pause: float = 0.0) -> None:
    changed = {"processes": processes, "accumulate": accumulate, "steps": 8, "keep": "last", "average": 0.5}
    settings = Train.model_validate(helpers.SETTINGS.model_dump() | changed)
    settings = settings.model_copy(update={"backbone": settings.backbone.model_copy(update={"dropout": 0.0})})
    team, _ = join(processes, "cpu")
    losses, optimiser_step = [], loop.optimiser_step
    loop.optimiser_step = lambda *given: time.sleep(pause) or losses.append(optimiser_step(*given)) or losses[-1]
    (folder / f"{team.rank}.pid").write_text(f"{os.getpid()}")
    prior = helpers.prior(settings)
    windows = helpers.windows(), helpers.windows(seed=1)
    with signals.handling("together"):
        try:
            trained, curve = loop.train(prior, *windows, settings, folder / "checkpoint", {}, team)
        except signals.Stopped as stop:
            print(f"stopped {stop}" if f"{stop}" else "", end="", flush=True)
            sys.exit(signals.CODE)
    weights = [value for p in prior.network.parameters() for value in p.flatten().tolist()]
    curve = [value for row in curve[1:] for value in row.values()]
    (folder / f"{team.rank}.json").write_text(json.dumps({"weights": weights, "losses": losses, "curve": curve}))
    team.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
