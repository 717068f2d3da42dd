"""Does a whole run that is killed again and again at random times end with the same bytes as an undisturbed run?

    python benchmarks/soak.py --kills 50 --json results/soak.json

Makes a small archive of the built-in world twice: once undisturbed, and once struck at random times and restarted
each time as docs/how-to/trouble.md says, until all kills have hit; then it may end. Strikes hit the process of a job
(SIGTERM, SIGKILL), a job with all its processes, the workflow alone, whose jobs live on (SIGKILL, SIGTERM), or
everything at once, as when a machine fails (SIGKILL, SIGTERM). `--slurm` uses the local cluster of tests/slurm, where
jobs are cancelled too, a node goes down, and SLURM's daemons are killed and restarted. A kill that found no process
does not count.

Writes `{"kills", "bytes_identical", "missing", …}`: whether all files of the archive, its markers and the prior have
the bytes of the undisturbed run, and the number of faults that `archive.check` finds. `--quick` kills three times.
"""

import argparse
import atexit
import datetime
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import cases
import numpy as np
import psutil
import yaml

sys.path.insert(0, str(cases.ROOT))

from hindsight import settings  # noqa: E402
from hindsight.archive import check, objects  # noqa: E402
from hindsight.errors import UserError  # noqa: E402
from tests.slurm import ring  # noqa: E402
from tests.workflow import runs  # noqa: E402

RUN = "soak"
WORLD = {  # laid over config/config.yaml: a coarse world, a network for seconds, five shards of two blocks
    "run": RUN,
    "domain": {
        "train": {"start": "2003-10-01T00:00", "end": "2004-10-31T18:00"},
        "validation": {"start": "2004-11-01T00:00", "end": "2004-11-30T18:00"},
        "test": {"start": "2004-12-15T00:00", "end": "2005-01-13T18:00"},
    },
    "download": {
        "synthetic": {
            "start": "2003-10-01T00:00",
            "end": "2005-01-13T18:00",
            "truncation": 10,
            "latitudes": 12,
            "spin_up_days": 60,
        }
    },
    "observe": {"networks": {"stations": {"count": 40}}},
    "train": {
        "steps": 60,
        "batch": 4,
        "warmup": 10,
        "checkpoint_every": 5,
        "validate_every": 30,
        "threads": 1,
        "backbone": {"width": 8, "multipliers": [1]},
    },
    "product": {"members": 4, "member_block": 2, "shard_frames": 24},
    "reanalyse": {"steps": 3, "halo": 4, "threads": 1},
}
SHORT = {"domain": {"test": {"end": "2004-12-26T18:00"}}, "train": {"steps": 10}}  # two shards, for --quick
TARGET = f"results/{RUN}/archive/check.json"
SAME = ("archive/**/*", "train/prior.safetensors")  # below the results, what has to have the same bytes
UNLOCK = "once with --unlock and once without"  # what the workflow says when a dead one left its lock
AT_ONCE = ("workflow", "everything")  # kinds that can be struck before there is a job
EARLY, START = 0.15, 4.0  # share of these that is, and seconds within which
SETTLE = 60.0  # seconds for a workflow to end whose job was struck
STUMBLES = 3  # starts in a row that may fail without a strike
PATIENCE = 600.0  # seconds without a job done after which something hangs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of the moments and kinds")
    parser.add_argument("--slurm", action="store_true", help="through a SLURM of two nodes on this machine")
    parser.add_argument("--folder", type=Path, help="where the runs go; none: a folder that is taken away")
    parser.add_argument("--quick", action="store_true", help="three kills of a shorter run: a check that it runs")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # nothing that it started stays
    folder = (chosen.folder or Path(tempfile.mkdtemp())).absolute()
    kills = 3 if chosen.quick else chosen.kills
    try:
        found = soaked(folder, kills, chosen.seed, chosen.quick, chosen.slurm)
    finally:
        if not chosen.folder:
            shutil.rmtree(folder)
    print(json.dumps(found, indent=1))
    cases.write(found, chosen.json)


def soaked(folder: Path, kills: int, seed: int, quick: bool, slurm: bool) -> dict:
    """Make the undisturbed run and the struck ones, and compare them."""
    alone = Workflow(folder / "undisturbed", configuration(quick))
    began = time.monotonic()
    alone.to_the_end()
    pace = Pace((time.monotonic() - began) / jobs_done(alone.folder), jobs_done(alone.folder))
    moments, blows, struck = random.Random(seed), [], []
    began = time.monotonic()
    with cluster(folder / "slurm") if slurm else Local() as place:
        while len(blows) < kills:  # a run that ended before all kills had hit is followed by another
            struck.append(Workflow(folder / f"struck{len(struck)}", configuration(quick), place))
            beaten(struck[-1], kills, blows, moments, pace)
    show(blows)
    return compared(alone, struck, blows) | {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "device": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "seed": seed,
        "quick": quick,
        "profile": place.profile,
        "jobs": pace.jobs,
        "undisturbed_seconds": pace.seconds * pace.jobs,
        "struck_seconds": time.monotonic() - began,
        "load_average": os.getloadavg()[1],
    }


def configuration(quick: bool) -> dict:
    """The demo's configuration, made small."""
    whole = runs.merged(yaml.safe_load((cases.ROOT / "config/config.yaml").read_text()), WORLD)
    return runs.merged(whole, SHORT) if quick else whole


@dataclass
class Local:
    """Jobs on this machine by the local profile."""

    profile: str = "local"
    options: tuple[str, ...] = ("--cores", "2")
    folder: Path | None = None  # of a cluster

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *error: object) -> None:
        return None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the workflow."""
        return ring.environment(self.folder)

    def call(self, *command: str) -> str:
        """The output of a command in the cluster."""
        done = subprocess.run(command, env=self.environment, stdout=-1, stderr=subprocess.STDOUT, text=True)
        return done.stdout

    def kinds(self) -> dict[str, Callable]:
        """What may be struck, by name: takes the workflow and random numbers, returns how many processes were hit."""
        return {
            "job SIGTERM": lambda flow, moments: flow.strike_job(moments, signal.SIGTERM),
            "job SIGKILL": lambda flow, moments: flow.strike_job(moments, signal.SIGKILL),
            "worker SIGKILL": lambda flow, moments: flow.strike_worker(moments),
            "workflow SIGKILL": lambda flow, moments: flow.strike_workflow(signal.SIGKILL),
            "workflow SIGTERM": lambda flow, moments: flow.strike_workflow(signal.SIGTERM),
            "everything SIGKILL": lambda flow, moments: flow.strike_everything(signal.SIGKILL),
            "everything SIGTERM": lambda flow, moments: flow.strike_everything(signal.SIGTERM),
        }

    def clear(self) -> None:
        """Prepare for the removal of a lock; jobs on this machine may live on, so there is nothing to do."""


@dataclass
class Slurm(Local):
    """Jobs through the cluster in a folder."""

    profile: str = "slurm"
    options: tuple[str, ...] = ring.IN_TESTS

    def __exit__(self, *error: object) -> None:
        subprocess.run([ring.CLUSTER, "stop", str(self.folder)], stdout=sys.stderr)

    def kinds(self) -> dict[str, Callable]:
        """The workflow and the processes of jobs as before; jobs, nodes and SLURM itself besides."""
        known = {name: strike for name, strike in super().kinds().items() if not name.startswith("everything")}
        return known | {
            "scancel": lambda flow, moments: self.cancel(moments),
            "node down": lambda flow, moments: self.lose(moments),
            "slurmd SIGKILL": lambda flow, moments: self.daemon(moments.choice(["slurmd.n1", "slurmd.n2"])),
            "slurmctld SIGKILL": lambda flow, moments: self.daemon("slurmctld"),
        }

    def running(self) -> list[str]:
        """Numbers of the jobs that run."""
        return self.call("squeue", "-h", "-t", "R", "-o", "%A").split()

    def cancel(self, moments: random.Random) -> int:
        """Cancel a job."""
        found = self.running()
        if found:
            self.call("scancel", moments.choice(found))
        return len(found[:1])

    def lose(self, moments: random.Random) -> int:
        """Take a node away on which jobs run, and give it back."""
        nodes = self.call("squeue", "-h", "-t", "R", "-o", "%N").split()
        if nodes:
            node = f"nodename={moments.choice(nodes)}"
            self.call("scontrol", "update", node, "state=down", "reason=soak")
            time.sleep(2)
            self.call("scontrol", "update", node, "state=resume")
        return len(nodes[:1])

    def daemon(self, name: str) -> int:
        """Kill one of SLURM's daemons while jobs run; it comes back seconds later."""
        if not self.running():
            return 0
        os.kill(int((self.folder / f"run/{name}.pid").read_text()), signal.SIGKILL)
        time.sleep(3)
        self.call(*name.replace(".", " -N ").split())
        return 1

    def clear(self) -> None:
        """Cancel the jobs of a dead workflow, which would disturb the next one."""
        self.call("scancel", "-u", str(os.getuid()))


def cluster(folder: Path) -> Slurm:
    """A cluster in a folder, started."""
    port = str(38000 + os.getpid() % 500 * 10)  # others may test at the same time
    environment = os.environ | {"PORT": port}
    if subprocess.run([ring.CLUSTER, "start", str(folder)], stdout=sys.stderr, env=environment).returncode:
        sys.exit("no SLURM here; see above")
    return Slurm(folder=folder)


@dataclass
class Pace:
    """The pace of an undisturbed run: seconds per job, and the number of jobs."""

    seconds: float
    jobs: int

    def wait(self, done: int, kills: int, moments: random.Random) -> float:
        """Seconds until the next strike: what is left to do lasts as long as what is left of the kills.

        A strike costs about the work of two jobs side by side, half done each; it is added, or nothing would get done.
        """
        return moments.uniform(0, 2 * self.seconds * ((self.jobs - done) / kills + 1))


@dataclass
class Blow:
    """A strike that hit: its kind, how many processes, steps under way, and seconds until there was a job again."""

    kind: str
    processes: int
    steps: list[str]
    done: int  # jobs done by then
    seconds: float | None = None
    at: float = field(default_factory=time.monotonic)


@dataclass
class Workflow:
    """A run of the workflow in a folder, restarted as often as needed."""

    folder: Path
    config: dict
    place: Local = field(default_factory=Local)
    process: subprocess.Popen | None = None
    starts: int = 0
    unlocks: int = 0
    stumbles: int = 0  # starts that failed though nothing was struck
    struck: bool = False  # since the last start

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))
        atexit.register(self.strike_everything, signal.SIGKILL)  # its group is its own: Ctrl-C does not reach it

    def command(self, *words: str) -> list[str]:
        """As a person would give it."""
        return ring.command(self.folder, self.place.profile, *self.place.options, TARGET, *words)

    def log(self) -> Path:
        """The output since the last start."""
        return self.folder / f"snakemake-{self.starts}.log"

    def start(self) -> None:
        """Start the workflow in a new process group."""
        self.starts, self.struck = self.starts + 1, False
        with self.log().open("w") as file:
            self.process = subprocess.Popen(
                self.command(), stdout=file, stderr=file, env=self.place.environment, start_new_session=True
            )

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def whole(self) -> bool:
        """Whether the workflow ended and made everything."""
        return self.process is not None and self.process.poll() == 0

    def wait_for(self, what: Callable[[], object]) -> None:
        """Wait until a condition holds or the workflow has ended."""
        until, done = time.monotonic() + PATIENCE, jobs_done(self.folder)
        while self.alive() and not what():
            if jobs_done(self.folder) != done:
                until, done = time.monotonic() + PATIENCE, jobs_done(self.folder)
            if time.monotonic() > until:
                sys.exit(f"it hangs; see {self.log()}")
            time.sleep(0.1)

    def rest(self, seconds: float) -> None:
        """Wait some seconds, or until the workflow has ended."""
        until = time.monotonic() + seconds
        self.wait_for(lambda: time.monotonic() > until)

    def bring_up(self, until: Callable[[], object]) -> None:
        """Start it if it does not run, by the remedies that it names itself, and wait for something."""
        self.wait_for(until)
        failed = 0
        while not self.alive() and not self.whole():
            if self.process is not None and UNLOCK in self.log().read_text():
                self.unlock()
            elif self.process is not None and not self.struck:
                failed += 1
                self.stumble(failed)
            self.start()
            self.wait_for(until)

    def stumble(self, failed: int) -> None:
        """A start failed though nothing was struck: a job left by a dead one may do that, but not for ever."""
        self.stumbles += 1
        text = self.log().read_text()[-3000:]
        print(f"{self.log()} failed by itself:\n{text}", file=sys.stderr, flush=True)
        if failed > STUMBLES:
            sys.exit("it does not get on its feet")

    def unlock(self) -> None:
        """Remove the lock, as the message about it says."""
        self.place.clear()
        self.place.call(*self.command("--unlock"))
        self.unlocks += 1

    def to_the_end(self) -> None:
        """Wait until the workflow and the jobs that it left behind have ended."""
        self.bring_up(lambda: False)
        until = time.monotonic() + PATIENCE
        while self.jobs() and time.monotonic() < until:
            time.sleep(0.2)

    def jobs(self) -> list[psutil.Process]:
        """The processes of its steps, those that a dead workflow left included."""
        found = []
        for one in psutil.process_iter():
            try:
                words = one.cmdline()
                if any(w.endswith("/hindsight") for w in words[:2]) and one.cwd() == str(self.folder):
                    found.append(one)
            except psutil.Error:
                continue
        return found

    def steps(self) -> list[str]:
        """What its jobs are about."""
        found = []
        for one in self.jobs():
            with suppress(psutil.Error, IndexError):
                found.append(one.cmdline()[2])
        return sorted(found)

    def strike_job(self, moments: random.Random, number: int) -> int:
        """A signal to the process of one job."""
        found = self.jobs()
        return send([moments.choice(found)] if found else [], number)

    def strike_worker(self, moments: random.Random) -> int:
        """Kill one job and all that belongs to it: the shell that started it and what the shell started."""
        if not (found := self.jobs()):
            return 0
        try:
            shell = moments.choice(found).parent()
            mine = shell is not None and "bash" in shell.name()
            return min(1, send([shell, *shell.children(recursive=True)] if mine else found[:1], signal.SIGKILL))
        except psutil.NoSuchProcess:
            return 0

    def strike_workflow(self, number: int) -> int:
        """A signal to the workflow alone: its jobs live on, unless it stops them."""
        return send([psutil.Process(self.process.pid)], number) and 1 if self.alive() else 0

    def strike_everything(self, number: int) -> int:
        """A signal to the whole process group, as when the machine goes down."""
        if not self.alive():
            return 0
        struck = 1 + len(self.jobs())
        os.killpg(self.process.pid, number)
        return struck


def send(processes: list[psutil.Process], number: int) -> int:
    """Send a signal to processes; return how many still existed."""
    heard = 0
    for one in processes:
        try:
            one.send_signal(number)
            heard += 1
        except psutil.NoSuchProcess:
            continue
    return heard


def beaten(flow: Workflow, kills: int, blows: list[Blow], moments: random.Random, pace: Pace) -> None:
    """Strike a run until all kills have hit or it is complete; then let it end."""
    for kind in kinds(flow.place, moments):
        early = kind.startswith(AT_ONCE) and moments.random() < EARLY
        flow.bring_up((lambda: True) if early else flow.jobs)
        if blows and blows[-1].seconds is None and not early:
            blows[-1].seconds = time.monotonic() - blows[-1].at
        if flow.whole() or len(blows) == kills:
            break
        done = jobs_done(flow.folder)
        flow.rest(moments.uniform(0, START) if early else pace.wait(done, kills - len(blows), moments))
        steps = flow.steps()
        if hit := flow.place.kinds()[kind](flow, moments):
            blows.append(Blow(kind, hit, steps, done := jobs_done(flow.folder)))
            said = f"kill {len(blows)}: {kind}; {done} jobs done, under way {', '.join(steps) or 'none'}"
            print(said, file=sys.stderr, flush=True)
            settle(flow, kind)
    flow.to_the_end()


def kinds(place: Local, moments: random.Random) -> Iterator[str]:
    """What to strike: all kinds once in an order drawn at random, then all of them again."""
    while True:
        yield from moments.sample(sorted(place.kinds()), len(place.kinds()))


def settle(flow: Workflow, kind: str) -> None:
    """Wait until the effect of a strike is over: it ends a local workflow, but hardly ever one that uses SLURM.

    The wait is limited, because no workflow waits for a job that a dead one left.
    """
    flow.struck = True
    if flow.place.folder is None or kind.startswith("workflow"):
        flow.rest(SETTLE)


def jobs_done(folder: Path) -> int:
    """Number of finished jobs, which have benchmark files."""
    return len(list((folder / "logs").rglob("*.tsv")))


def show(blows: list[Blow]) -> None:
    """Print the strikes and their cost."""
    print(f"{'struck':20s} {'kills':>5s} {'processes':>9s} {'seconds until a job runs again, mean and most':>45s}")
    for kind in sorted({blow.kind for blow in blows}):
        own = [blow for blow in blows if blow.kind == kind]
        seconds = [blow.seconds for blow in own if blow.seconds] or [float("nan")]
        hit = sum(blow.processes for blow in own)
        print(f"{kind:20s} {len(own):5d} {hit:9d} {np.mean(seconds):36.1f} {max(seconds):8.1f}")


def compared(alone: Workflow, struck: list[Workflow], blows: list[Blow]) -> dict:
    """Compare the runs."""
    expected = digests(alone.folder)
    different = [f"{flow.folder.name}/{name}" for flow in struck for name in unlike(expected, digests(flow.folder))]
    counted = {kind: sum(blow.kind == kind for blow in blows) for kind in sorted({blow.kind for blow in blows})}
    return {
        "kills": len(blows),
        "bytes_identical": bool(expected) and not different,
        "missing": sum(faults(flow.folder / f"results/{RUN}/archive", settings.read(flow.config)) for flow in struck),
        "different": different,
        "files": len(expected),
        "kinds": counted,
        "blows": [{name: value for name, value in vars(blow).items() if name != "at"} for blow in blows],
        "runs": len(struck),
        "starts": sum(flow.starts for flow in struck),
        "stumbles": sum(flow.stumbles for flow in struck),
        "unlocks": sum(flow.unlocks for flow in struck),
    }


def digests(folder: Path) -> dict[str, str]:
    """Checksums of the files that must be the same."""
    base = folder / f"results/{RUN}"
    paths = [path for pattern in SAME for path in base.glob(pattern) if path.is_file()]
    return {path.relative_to(base).as_posix(): objects.sha256(path) for path in paths}


def unlike(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Names that only one of the two has, or whose checksums differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def faults(base: Path, asked: settings.Settings) -> int:
    """Faults that `archive.check` finds when it runs again."""
    markers = sorted((base / "shards").glob("*.json"))
    there = {"layout": base / "layout.json", "markers": markers, "archive": base / "reanalysis.zarr"}
    with tempfile.TemporaryDirectory() as out:
        results = {"provenance": Path(out) / "provenance.csv", "result": Path(out) / "check.json"}
        try:
            check.run(asked.domain, asked.product, asked.archive, **there, **results)
        except UserError as error:
            print(error, file=sys.stderr)
            return len(str(error).splitlines()) - 1
    return 0


if __name__ == "__main__":
    main()
