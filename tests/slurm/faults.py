"""What SLURM says of jobs, and what may happen to them on a cluster."""

import contextlib
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field

import psutil


@dataclass
class Job:
    """A job, as SLURM tells of it now, and the states that it was seen in."""

    number: int
    name: str  # the rule and its wildcards
    record: dict[str, str]
    states: list[str] = field(default_factory=list)

    @property
    def rule(self) -> str:
        return re.sub("^rule_|_wildcards_.*", "", self.name)


class Watch(threading.Thread):
    """Looks at the queue all the time, and does something to the first running job of a rule.

    Args:
        environment: of the cluster.
        faults: what to do, by the name of a rule; it is given this watch and the job, and returns whether it is done.
    """

    def __init__(self, environment: dict, faults: dict) -> None:
        super().__init__(daemon=True)
        self.environment, self.faults = environment, faults
        self.jobs: dict[int, Job] = {}
        self.struck: dict[str, str] = {}  # name of the job that a rule's fault struck
        self.over = threading.Event()

    def run(self) -> None:
        """Look, twice a second."""
        while not self.over.wait(0.5):
            for job in self.look():
                if job.rule in self.faults and job.states[-1] == "RUNNING" and self.faults[job.rule](self, job):
                    del self.faults[job.rule]
                    self.struck[job.rule] = job.name

    def look(self) -> list[Job]:
        """The jobs as they are now."""
        for line in self.call("scontrol", "show", "job", "-o").splitlines():
            record = dict(pair.split("=", 1) for pair in line.split() if "=" in pair)
            if "JobId" not in record:
                continue
            number = int(record["JobId"])
            job = self.jobs.setdefault(number, Job(number, record.get("Comment", ""), record))
            job.record = record
            if record["JobState"] not in job.states[-1:]:
                job.states.append(record["JobState"])
        return list(self.jobs.values())

    def call(self, *command: str) -> str:
        """What a command of SLURM's says."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True).stdout

    def tries(self, rule: str) -> list[Job]:
        """The tries of the job that a rule's fault struck, in their order."""
        assert rule in self.struck, f"no job of {rule} was struck"
        return [job for _, job in sorted(self.jobs.items()) if job.name == self.struck[rule]]


def cancel(watch: Watch, job: Job) -> bool:
    """Somebody cancels it."""
    watch.call("scancel", str(job.number))
    return True


def hang(watch: Watch, job: Job) -> bool:
    """It hangs, as on a file system that does not answer, until its time is over: a minute, the least there is."""
    step = process(job, "archive.layout")
    if step is None:
        return False
    step.suspend()
    watch.call("scontrol", "update", f"jobid={job.number}", "TimeLimit=1")
    return True


def lose(watch: Watch, job: Job) -> bool:
    """Its node is lost, and comes back."""
    watch.call("scontrol", "update", f"nodename={job.record['NodeList']}", "state=down", "reason=test")
    time.sleep(2)
    watch.call("scontrol", "update", f"nodename={job.record['NodeList']}", "state=resume")
    return True


def preempt(watch: Watch, job: Job) -> bool:
    """A more urgent job takes its place while its step runs: it gets SIGTERM, and ten seconds to end.

    It is stopped until then, because so short a training might end before.
    """
    step = process(job, "train.prior")
    if step is None:
        return False
    step.suspend()
    node = f"--nodelist={job.record['NodeList']}"
    watch.call(
        "sbatch",
        "--partition=urgent",
        "--exclusive",
        node,
        "--comment=urgent",
        "--wrap",
        "sleep 2",
        "--output=/dev/null",
    )
    until = time.monotonic() + 60
    while job.record.get("PreemptTime") == "None" and job.states[-1] == "RUNNING" and time.monotonic() < until:
        time.sleep(0.2)
        watch.look()
    with contextlib.suppress(psutil.NoSuchProcess):  # SLURM wakes whom it tells: it may have left already
        step.resume()
    return True


def process(job: Job, step: str) -> psutil.Process | None:
    """The process of a job's step, if it has come so far."""
    for one in psutil.process_iter():
        try:
            words = one.cmdline()
            if words[2:3] == [step] and words[1].endswith("/hindsight") and one.cwd() == job.record["WorkDir"]:
                return one
        except psutil.Error:
            continue
    return None
