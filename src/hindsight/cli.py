"""`hindsight STAGE.STEP --settings FILE --… PATH`, the command that every rule runs.

A step is a module with a function `run`: `hindsight/STAGE/STEP.py`, or `hindsight/STAGE/PACKAGE/STEP.py`, whose package
is not part of the step's name. Its positional parameters are sections of the settings file; its keyword-only ones are
paths, or texts such as the name of a network, and become options of the same name. A list of paths that is too long for
a command line can be given as `@FILE.json`, a JSON file that lists them.
"""

import argparse
import ast
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from hindsight import __version__, signals, system_errors, where
from hindsight.errors import UserError
from hindsight.progress import heartbeat, report

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

HERE = Path(__file__).parent


def main(argv: list[str] | None = None) -> int:
    """Run one step; return 0, 2 after an error that the user can fix, or 143 after SIGTERM."""
    os.environ.setdefault("DASK_SCHEDULER", "threads")  # else Dask imports `distributed` to look for a cluster
    argv = sys.argv[1:] if argv is None else argv
    name = argv[0] if argv else "--help"
    if name in ("-h", "--help"):
        with _closed_pipe_ignored():
            print(overview())
        return 0
    if name == "--version":
        print(f"hindsight {__version__}")
        return 0
    if name == "where":
        return where.main(argv[1:])
    paths: dict = {}
    leads = os.environ.get("RANK", "0") == "0"  # of several training processes, only one reports
    with signals.handling(f"hindsight {name}"), heartbeat(_job(name, argv[1:])) if leads else nullcontext():
        try:
            run = _step(name)
            sections, paths = _parse(name, run, argv[1:])
            with _secrets().hide():
                run(*sections, **paths)
        except signals.Stopped as stop:
            if f"{stop}":
                _say(f"hindsight {name}: stopped by SIGTERM {stop}; run snakemake again to continue")
            return signals.CODE
        except Exception as error:
            if says := _explain(error, name, _files(paths)):
                _say(f"hindsight {name}: {says}")
                return 2
            _report(f"hindsight {name} failed ({type(error).__name__}: {error}); see {_log()} for the traceback")
            raise
    return 0


def _explain(error: Exception, name: str, files: list[Path]) -> str | None:
    """The message for an error that the user can fix; None if the error is a bug."""
    if isinstance(error, UserError):
        # a reader without the right to read a file may report it as damaged
        return system_errors.explain_disk(error, files) or f"{error}"
    says = system_errors.explain(error, name, files)
    if says:
        system_errors.remove_partial(files)
    return says


def _files(paths: dict) -> list[Path]:
    """All paths among a step's options."""
    values = (value if isinstance(value, list) else [value] for value in paths.values())
    return [path for some in values for path in some if isinstance(path, Path)]


def _secrets() -> ModuleType:
    """The module of credentials, imported late because `--help` does not need it."""
    from hindsight.settings import credentials

    return credentials


def _say(line: str) -> None:
    """Print a line and write it to the progress file; errors of writing are ignored."""
    line = _secrets().scrub(line)
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
    _report(line)


def _report(line: str) -> None:
    """Write a line to the progress file; errors of writing are ignored."""
    with suppress(OSError):  # such as a full disk
        report(_secrets().scrub(line))


def _log() -> str:
    """The path of the log, if standard error is a file and the system gives its name."""
    path = Path("/proc/self/fd/2").resolve()
    return f"{path}" if path.is_file() else "its log"


@contextmanager
def _closed_pipe_ignored() -> Iterator[None]:
    """Context in which help is printed; it is no error if the reader closes the pipe early, as `head` does."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush when Python ends


class Step(NamedTuple):
    """A step's module, and the first line of its docstring."""

    module: str
    sentence: str


def steps() -> dict[str, Step]:
    """Every step by its name, STAGE.STEP; read from the source, so that nothing heavy is imported."""
    found = {}
    for path in sorted([*HERE.glob("*/*.py"), *HERE.glob("*/*/*.py")]):
        parts = path.relative_to(HERE).with_suffix("").parts
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name == "run":
                sentence = (ast.get_docstring(node) or "").split("\n")[0]
                found[f"{parts[0]}.{parts[-1]}"] = Step(".".join(["hindsight", *parts]), sentence)
    return dict(sorted(found.items(), key=lambda item: (STAGES.index(item[0].split(".")[0]), item[0])))


OPTIONS = {  # of the steps, and what each means
    "analyses": "analyses (netCDF) to read",
    "analysis": "analysis (netCDF) to write",
    "archive": "Zarr store of the archive",
    "attempt": "number of this attempt at the job; a retry does not time stretches again",
    "audit": "audit of the prior (audit.json)",
    "audit_figure": "figure of the audit (audit.png)",
    "benchmarks": "folder of the files with the cost of each job (logs/RUN)",
    "breaks": "break points of the archive (break_points.json)",
    "calibration": "bias and error of the stations of reports (CSV); to read, if the settings ask for it",
    "catalogue": "catalogue: of GRIB messages (catalogue.parquet), or the STAC entry (stac.json)",
    "check": "result of the archive's check (check.json)",
    "checkpoint": "checkpoint, from which a stopped training resumes",
    "climatology": "harmonics of the training period (climatology.nc)",
    "coast": "TopoJSON file of coastlines, if the settings name one",
    "composites": "list of the radar composites (composites.json)",
    "configuration": "all settings of the run (configuration.json)",
    "contents": "contents of the source's files (contents.json)",
    "controller": "the controller of the prior (controller.safetensors), if the guidance needs one",
    "steering": "directions of the prior (steering.safetensors): written by train.audit, read to steer analyses",
    "covariance": "covariance of the training period and its square root (covariance.npy)",
    "curve": "validation errors (curve.csv)",
    "data": "data folder",
    "denials": "stations and periods proposed for denial (a blacklist), to write (CSV)",
    "departures": "scores of departures in the whole period, to write (CSV)",
    "documents": "files to copy with the store, such as README.md",
    "errors": "errors of reports, used and estimated, to write (CSV)",
    "feedback": "tables of feedback (Parquet)",
    "fields": "Zarr store of fields",
    "figure": "figure of the validation errors (curve.png), or of the audit (audit.png)",
    "file": "file to write",
    "files": "files of the source, or of reports, or @FILE.json, which lists them",
    "first_shard": "analyses of the first shard",
    "folder": "folder to write to",
    "given": "files of land fraction and orography, if the settings name them",
    "interval": "interval of reports, such as 20000101T12_732: its start and number of frames",
    "layout": "layout of the archive (layout.json)",
    "linear_prior": "the linear prior (linear_prior.safetensors)",
    "lists": "files of names of stations, if the settings name them",
    "manifest": "manifest of the source (manifest.json)",
    "marker": "marker to write, which says that the output is complete",
    "markers": "markers of the parts or shards",
    "measurements": "settings with the estimated errors, to write (YAML)",
    "members": "members to sample, such as 0-15",
    "moments": "sums over training frames, for climatology and statistics",
    "monthly": "scores of departures in each month (CSV)",
    "network": "name of the observing network",
    "normalisation": "standard deviation of each channel (statistics.nc)",
    "observations": "observation tables (Parquet)",
    "page": "page to write: the landing page (README.md), or one to look at (explore.html)",
    "part": "part of the source, such as 20000101T00_1460: its start and number of frames",
    "piece": "piece of the fields",
    "pieces": "pieces of the fields",
    "plan": "forecast of cost to write (plan.json)",
    "prior": "the trained prior (prior.safetensors)",
    "provenance": "table of provenance to write (provenance.csv)",
    "ranks": "number of observations with each rank, to write (CSV)",
    "raw": "data of the source (Zarr)",
    "register": "register of known issues and revisions to write (revisions.json)",
    "report": "the HTML report (report.html)",
    "reports": "name of the reports in observe.reports",
    "result": "result to write",
    "revisions": "folder with the versions of every shard of the archive",
    "scheduler": "Dask scheduler, as in preprocess.scheduler",
    "scores": "scores (scores.nc)",
    "screened": "tables of screened reports (Parquet)",
    "series": "departures at each station over time (CSV)",
    "shard": "frames of the shard, such as 20090101T00_96: its start and number of frames",
    "sources": "list of the source's files to write (sources.json)",
    "station": "name of a station of reports, or a pattern such as ES_*",
    "static": "land fraction and orography (static.nc)",
    "station_list": "station list, if the settings name one",
    "statistics": "statistics of departures in the training period (statistics.nc)",
    "stations": "scores of departures at each station (CSV)",
    "stretch": "frames to sample, in the same form: the shard and its halo",
    "table": "table of scores to write (CSV)",
    "tables": "list of the tables of feedback in the archive (observations.json)",
    "tensorboard": "folder for TensorBoard's scalars",
    "url": "URL to fetch",
    "usage": "usage of a network's observations (CSV)",
    "workers": "number of Dask workers",
}
OPTIONS_OF_STEPS = {  # whose meaning is another one, or more exact, in a step
    "preprocess.regrid --piece": "frames of the piece, such as 20000101T00_4096: its start and number of frames",
    "preprocess.regrid --fields": "Zarr store of the piece, to write",
    "observe.collect --observations": "table of reports to write (Parquet)",
    "observe.screen --screened": "table of screened reports to write (Parquet)",
    "observe.select --observations": "observation table to write (Parquet)",
    "observe.simulate --observations": "observation table to write (Parquet)",
    "train.controller --controller": "controller to write (controller.safetensors)",
    "train.controller --curve": "cost and scores of roll-outs, to write (controller_curve.csv)",
    "verify.compare --result": "statistics of the network by frame, to write (verify/statistics/NETWORK.nc)",
    "verify.score --statistics": "statistics of every network (verify/statistics/NETWORK.nc)",
    "archive.break_points --result": "break points of the archive, to write (break_points.json)",
    "archive.check --result": "outcome of the check, to write (check.json)",
}
JOB_OPTIONS: dict[str, Callable[[str], str]] = {  # options that say what a job works on, and how to read it
    "--network": str,
    "--part": str,
    "--piece": lambda text: Path(text.removesuffix("/zarr.json")).stem,
    "--plan": lambda text: Path(text).absolute().parent.name,  # results/RUN/reanalyse/NETWORK/plan.json
    # results/RUN/STAGE/NETWORK/METHOD/SHARD-BLOCK.nc
    "--analysis": lambda text: " ".join(Path(text).absolute().with_suffix("").parts[-3::2]),
}
STAGES = ("download", "preprocess", "observe", "train", "reanalyse", "baselines", "verify", "archive")


def overview() -> str:
    """The text of `hindsight --help`."""
    listing = steps()
    width = max(map(len, listing))
    lines = [f"  {name:<{width}}  {sentence}" for name, (_, sentence) in listing.items()]
    head = (
        "usage: hindsight STAGE.STEP --settings FILE --OPTION PATH …\n\nSteps, by stage in the order of the data flow:"
    )
    tail = "`hindsight STAGE.STEP --help` lists a step's options; `hindsight where` prints the path of the Snakefile."
    return "\n".join([head, *lines, "", tail])


def _step(name: str) -> Callable:
    """Import the module of a step, and no other, and return its `run`."""
    stage, _, step = name.partition(".")
    known = stage in STAGES and step.isidentifier()
    for path in [*HERE.glob(f"{stage}/{step}.py"), *HERE.glob(f"{stage}/*/{step}.py")] if known else []:
        if "\ndef run(" in path.read_text():
            parts = path.relative_to(HERE).with_suffix("").parts
            return import_module(".".join(["hindsight", *parts])).run
    raise UserError(f"there is no step {name!r}; the steps are {', '.join(steps())}")


class _Parser(argparse.ArgumentParser):
    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        with _closed_pipe_ignored():
            super().print_help(file)


def _job(name: str, options: list[str]) -> str:
    """A step with what its job works on: a part, a piece, or the network and shard of an analysis.

    It is read before the step is imported, which takes seconds that are reported too.
    """
    values = dict(pairwise(options))
    return " ".join([name, *(read(values[option]) for option, read in JOB_OPTIONS.items() if option in values)])


def _parse(name: str, run: Callable, argv: list[str]) -> tuple[list, dict]:
    """Parse the options in a step's signature, and load the sections of the settings that it takes."""
    from hindsight import settings

    parser = _Parser(
        prog=f"hindsight {name}", description=(inspect.getdoc(run) or "").split("\n\nArgs:")[0].split("\n\nRaises:")[0]
    )
    parameters = inspect.signature(run).parameters.values()
    requested = [p.annotation for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if requested:
        stage, _, step = name.partition(".")
        file = step if step in settings.STAGE_SECTIONS else stage
        parser.add_argument("--settings", type=Path, required=True, help=f"results/RUN/settings/{file}.json")
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY:
            many = parameter.annotation == list[Path]
            kind = str if parameter.annotation is str else Path
            required = parameter.default is parameter.empty
            more = {} if required else {"default": parameter.default}
            more |= {"nargs": "*"} if many else {}
            text = OPTIONS_OF_STEPS.get(f"{name} --{parameter.name}", OPTIONS[parameter.name])
            parser.add_argument(f"--{parameter.name}", type=kind, required=required, help=text, **more)
    given = vars(parser.parse_args(argv))
    sections = settings.load(given.pop("settings"), requested) if requested else []
    return sections, {name: _read_list(value) for name, value in given.items()}


def _read_list(value: Path | str | list[Path]) -> Path | str | list[Path]:
    """The value of an option; `@FILE.json` for a list is replaced by the paths in that file.

    Raises:
        UserError: if the file cannot be read.
    """
    given = f"{value[0]}" if isinstance(value, list) and len(value) == 1 else ""
    if not (given.startswith("@") and given.endswith(".json")):
        return value
    try:
        return [Path(name) for name in json.loads(Path(given[1:]).read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"cannot read the list of files {given[1:]} ({error}); snakemake writes it") from None


if __name__ == "__main__":
    raise SystemExit(main())
