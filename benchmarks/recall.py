"""What does the denial of a station cost, and does it change anything that it should not?

    python benchmarks/recall.py --data ../shared/data [--json FILE] [--finished FOLDER] [--quick]

Analyses a year of Europe from the real barometers of one network (`config/barometers.yaml` with a small network that
is hardly trained), denies one station that was used for a month, and runs the workflow again. With `--finished`, the
run of `make barometers` in a folder, which is copied, takes the place of that year. Writes

- `affected`: shards whose frames or halo meet a denied frame, computed here; `planned`: those of a dry run;
- `remade`: shards whose analysis was made again;
- `others_identical`: whether every object of the archive and every analysis of the other shards has its bytes;
- `overhead`: processor seconds of all other work in the second run (departures beside the remade shards, summaries,
  scores, report, checks), as a share of the first run's.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import cases
import numpy as np
import pandas as pd
import yaml

sys.path.insert(0, str(cases.ROOT))

from hindsight import machine  # noqa: E402
from hindsight.fields import shards  # noqa: E402
from hindsight.settings import Settings  # noqa: E402
from tests.workflow import runs  # noqa: E402

NETWORK = "sparse16"
CHANGES = {
    "run": "recall",
    "domain": {
        "train": {"start": "2004-01-01T12:00", "end": "2005-12-31T12:00"},
        "validation": {"start": "2008-01-01T12:00", "end": "2008-01-31T12:00"},
        "test": {"start": "2009-01-01T12:00", "end": "2009-12-31T12:00"},
    },
    "train": {"steps": 2, "batch": 2, "validate_every": 2, "window": 8, "backbone": {"width": 16, "multipliers": [1]}},
    "product": {"members": 16, "member_block": 16, "shard_frames": 30},
    "reanalyse": {"frames": 40, "stride": 40, "halo": 5},
    "archive": {"network": NETWORK, "chunk_frames": 30},
}
QUICK = {  # two months, few members and steps
    "domain": {"train": {"end": "2005-01-31T12:00"}, "test": {"end": "2009-03-01T12:00"}},
    "observe": {"quality": {"modes": 40}},
    "product": {"members": 2, "member_block": 2, "shard_frames": 15},
    "reanalyse": {"steps": 1, "frames": 19, "stride": 19, "halo": 2},
    "archive": {"chunk_frames": 15},
    "verify": {"resamples": 20},
}
MONTH = {False: ("2009-06-10", "2009-07-09"), True: ("2009-02-10", "2009-02-12")}  # by whether it is quick
OF_SHARDS = ("select", "shard", "optimal_interpolation", "climatology", "feedback", "write")  # jobs of one shard


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=cases.ROOT.parent / "shared/data")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--folder", type=Path, help="where the run goes; none: a folder that is taken away")
    parser.add_argument("--finished", type=Path, help="where `make barometers` has run, whole; it is copied")
    parser.add_argument("--quick", action="store_true", help="two months, two members: a check that it runs")
    chosen = parser.parse_args()
    folder = (chosen.folder or Path(tempfile.mkdtemp())).absolute()
    try:
        config = configuration(chosen.data.absolute(), chosen.quick)
        if chosen.finished:
            config = finished(chosen.finished, chosen.data.absolute(), folder)
        found = recalled(folder, config, MONTH[chosen.quick], real=not chosen.quick)
    finally:
        if not chosen.folder:
            shutil.rmtree(folder)
    print(json.dumps(found, indent=1))
    how = {"quick": chosen.quick, "finished": chosen.finished is not None}
    cases.write(found | {"processor": machine.device_name()} | how, chosen.json)


def configuration(data: Path, quick: bool) -> dict:
    """The barometers of one network, a small prior."""
    whole = yaml.safe_load((cases.ROOT / "config/barometers.yaml").read_text())
    whole["observe"]["networks"] = {NETWORK: whole["observe"]["networks"][NETWORK]}
    return runs.merged(runs.merged(whole, CHANGES), (QUICK if quick else {}) | {"data": str(data)})


def finished(made: Path, data: Path, folder: Path) -> dict:
    """The configuration of a run of `make barometers`, copied from the folder where it was made."""
    for name in ("results", "logs", ".snakemake"):
        shutil.copytree(made / name, folder / name, symlinks=True)
    return yaml.safe_load((cases.ROOT / "config/barometers.yaml").read_text()) | {"data": str(data)}


def recalled(folder: Path, config: dict, period: tuple[str, str], real: bool) -> dict:
    """Make the archive, deny a station in a period, make it again, and compare.

    `real`: jobs are processes of their own, whose imports count.
    """
    runs.snakemake(folder, config, real=real)
    run, logs = (folder / name / config["run"] for name in ("results", "logs"))
    before, first = contents(run), spent(logs)
    denial = {"station": station(run, *period), "start": period[0], "end": period[1], "reason": "benchmark"}
    config["observe"]["networks"][NETWORK]["denied"] = [denial]
    planned = remade(runs.snakemake(folder, config, "-n").stdout, run.name)
    shutil.rmtree(logs)  # whose tables of jobs are then those of the second run
    done = remade(runs.snakemake(folder, config, real=real).stdout, run.name)
    by_hand = reached(Settings.model_validate(config), *period)
    after, second = contents(run), spent(logs)
    beside = {name for name in before if not any(shard in name for shard in done)}
    objects = {name for name in beside if "archive" not in name} | objects_beside(run, before, done)
    return {
        "affected": sorted(by_hand),
        "planned": sorted(planned),
        "remade": sorted(done),
        "others_identical": bool(objects) and all(before[name] == after.get(name) for name in objects),
        "others": len(objects),
        "overhead": round(sum(s for job, s in second.items() if not own(job, done)) / sum(first.values()), 4),
        "first_run_s": round(sum(first.values()), 1),
        "second_run_s": round(sum(second.values()), 1),
        "of_affected_shards_s": round(sum(s for job, s in second.items() if own(job, done)), 1),
        "shards": len(set(map(shard_of, (p for p in before if "diffusion" in p)))),
    }


def station(run: Path, first: str, last: str) -> str:
    """The station with the most used reports in a period."""
    table = pd.concat(map(pd.read_parquet, (run / f"observe/{NETWORK}").glob("*.parquet")))
    used = table[(table["quality"] == 0) & ~table["withheld"] & table["time"].between(first, last)]
    return str(used["station"].value_counts().index[0])


def contents(run: Path) -> dict[str, bytes]:
    """The bytes of every analysis and object of the archive, by its path below the run."""
    paths = [*run.glob(f"*/{NETWORK}/**/*.nc"), *(run / "archive/reanalysis.zarr").rglob("c/**/*")]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths if path.is_file()}


def shard_of(path: str) -> str:
    """The name of an analysis' shard."""
    return Path(path).name.split("-")[0].split(".")[0]


def remade(text: str, run: str) -> set[str]:
    """The shards whose analysis by diffusion Snakemake makes or plans to make in a run, by its name."""
    return set(re.findall(rf"output: results/{run}/reanalyse/{NETWORK}/diffusion/(\w+)-\d+\.nc", text))


def reached(chosen: Settings, first: str, last: str) -> set[str]:
    """The shards whose frames, with their halo, meet a period of days."""
    before, after = chosen.reanalyse.halo_frames(chosen.domain.step_hours)
    ends = np.datetime64(first), np.datetime64(last) + np.timedelta64(1, "D")
    cuts = shards.cut(chosen.domain, chosen.product)
    return {one.name for one in cuts if one.with_halo(before, after, chosen.domain).overlaps(*ends)}


def objects_beside(run: Path, before: dict[str, bytes], done: set[str]) -> set[str]:
    """The objects of the archive that hold no frame of some shards, by the markers of the others."""
    markers = [path for path in (run / "archive/shards").glob("*.json") if path.stem not in done]
    named = {f"archive/reanalysis.zarr/{name}" for path in markers for name in json.loads(path.read_text())["objects"]}
    return named & before.keys()


def spent(logs: Path) -> dict[str, float]:
    """Processor seconds of every job that has a table, by the table's name."""
    found = {}
    for path in logs.rglob("*.tsv"):
        found[path.stem] = float(pd.read_csv(path, sep="\t")["cpu_time"].iloc[0])
    return found


def own(job: str, done: set[str]) -> bool:
    """Whether a job is one of a remade shard."""
    return job.startswith(OF_SHARDS) and any(shard in job for shard in done)


if __name__ == "__main__":
    main()
