"""Inputs that users have: is every case and kind read correctly, refused with the right message, or wrong?

    python benchmarks/inputs.py --cases ../shared/cases --json results/inputs.json
    python benchmarks/inputs.py --cases ../shared/cases --only '0[1-4]/*' --quick

Runs every script of the folder for every kind in `benchmarks/truths.py`, and the kinds of `benchmarks/kinds.py`, each
in its own folder; then the workflow up to the fields. `right`: every value, time and coordinate agrees with the
formulas of the script. `refused in words`: a refusal is correct here, its message names the cause, and with the
setting that it asks for the values are right. Anything else is `wrong`, with the result. `--quick` runs the same
steps in this process.
"""

import argparse
import contextlib
import fnmatch
import functools
import io
import json
import os
import re
import runpy
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import chain
import kinds
import psutil
import yaml
from chain import Outcome
from truths import CASES, Kind

from hindsight.settings.section import with_defaults

MEBI = 2**20
BARE_MB = 400  # a process that has read its imports and holds nothing
BEYOND_A_LIBRARY = ("'ms-1'->m s-1",)  # by SI it is one per millisecond
SHOWN = 300  # characters of a sentence
DATES = {  # what 32 prints for each text: the first and the last day of the period, or None where it is refused
    "{start: 2000, end: 2007}": ("2000-01-01", "2007-12-31"),
    "{start: '2000', end: '2007'}": ("2000-01-01", "2007-12-31"),
    "{start: 20000101, end: 20071231}": ("2000-01-01", "2007-12-31"),
    "{start: '20000101', end: '20071231'}": ("2000-01-01", "2007-12-31"),
    "{start: 2000-01, end: 2007-12}": ("2000-01-01", "2007-12-31"),
    "{start: 2000-01-01, end: 2007-12-31}": ("2000-01-01", "2007-12-31"),
    "{start: 2000-01-01T00:00Z, end: 2007-12-31T18:00Z}": ("2000-01-01", "2007-12-31 18:00:00"),
    "{start: 2000-01-01 00:00:00 UTC, end: 2007-12-31 18:00:00 UTC}": ("2000-01-01", "2007-12-31 18:00:00"),
    "{start: 2000-01-01T00, end: 2007-12-31T18}": ("2000-01-01", "2007-12-31 18:00:00"),
    "{start: 2000-01-01 00, end: 2007-12-31 18}": ("2000-01-01", "2007-12-31 18:00:00"),
    "{start: 2000-01-01T00:00+01:00, end: 2007-12-31T18:00}": ("1999-12-31 23:00:00", "2007-12-31 18:00:00"),
    "{start: 2000-01-01T00:00:00.000, end: 2007-12-31T18:00:00}": ("2000-01-01", "2007-12-31 18:00:00"),
    "{start: 2007-12-31, end: 2000-01-01}": None,
    "{start: 2000-01-01T24:00, end: 2007-12-31}": None,
    "{start: 01/01/2000, end: 31/12/2007}": None,
    "{start: 1.1.2000, end: 31.12.2007}": None,
    "{start: 2000-1-1, end: 2007-12-31}": ("2000-01-01", "2007-12-31"),
    "{start: 2000-01-01 6:00, end: 2007-12-31 18:00}": ("2000-01-01 06:00:00", "2007-12-31 18:00:00"),
    "[2000, 2007]": None,
}
LAST_DAY = re.compile(r"2007-12-31( (18:00:00|2\d:\d\d:\d\d(\.\d+)?))?")  # whole: none of its frames is beyond the end


def main() -> None:
    """Try every case, print a line for each, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True, help="the folder of the scripts")
    parser.add_argument("--json", type=Path, help="where the table goes")
    parser.add_argument("--only", default="*", help="a pattern of case/kind")
    parser.add_argument("--quick", action="store_true", help="the same steps in this process, without Snakemake")
    parser.add_argument("--keep", type=Path, help="keep inputs and runs in this folder")
    chosen = parser.parse_args()
    run, found = chain.inside if chosen.quick else chain.workflow, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in listed(chosen.cases, chosen.only):
            began = time.perf_counter()
            found[name] = verdict(chosen.cases, name, kind, (chosen.keep or Path(folder)) / name, run)
            print(f"{name:28} {time.perf_counter() - began:5.1f} s  {found[name]}", flush=True)
    print(json.dumps({word: sum(v.startswith(word) for v in found.values()) for word in ("right", "refused", "wrong")}))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1))


def listed(cases: Path, only: str = "*") -> list[tuple[str, Kind]]:
    """Every case/kind that a pattern matches: those of the scripts in the folder, then those of `kinds.py`."""
    numbers = {path.name[:2] for path in cases.glob("[0-9][0-9]_*.py")}
    unknown = [f"{number}/?" for number in sorted(numbers - CASES.keys())]
    found = [(f"{n}/{k}", kind) for n, inner in CASES.items() if n in numbers for k, kind in inner.items()]
    found += [(f"{n}/more_{k}", kind) for n, inner in kinds.FURTHER.items() for k, kind in inner.items()]
    if unknown:
        print(f"no right answer is known for {', '.join(unknown)}; add it to benchmarks/truths.py", file=sys.stderr)
    return [(name, kind) for name, kind in found if fnmatch.fnmatch(name, only)]


def verdict(cases: Path, name: str, kind: Kind, folder: Path, run: Callable[..., Outcome]) -> str:
    """Make the input of a kind, run it, and return the verdict."""
    folder.mkdir(parents=True, exist_ok=True)
    with served(folder / "www") if kind.served else contextlib.nullcontext() as port, environment(kind, folder):
        printed = make_input(cases, name, kind, folder, [str(port)] if port else [])
        says = of_what_is_printed(name, printed)
        if says != "right" or name.startswith("32/"):
            return says
        config = yaml.safe_load((folder / "config.yaml").read_text())
        if name.startswith("17/"):
            return within_memory(kind, config, folder)
        return attempt(kind, config, folder, functools.partial(run, target=kind.target))


def make_input(cases: Path, name: str, kind: Kind, folder: Path, more: list[str]) -> str:
    """Make the input of a case by its script, or of a kind in `kinds.py`; return the printed output."""
    if kind.make:
        kind.make(folder)
        return ""
    (script,) = cases.glob(f"{name[:2]}_*.py")
    before, printed = sys.argv, io.StringIO()
    sys.argv = [str(script), str(folder), *kind.arguments, *more]
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = before
    return printed.getvalue()


def attempt(kind: Kind, config: dict, folder: Path, run: Callable[..., Outcome]) -> str:
    """The verdict on a run, and on a second one with the setting that the refusal asked for."""
    first = run(with_defaults(kind.given, config), folder / "run")
    if first.says and kind.refusal is not None:
        says = of_refusal(first, kind.refusal, folder)
        if says != "refused in words" or kind.setting is None:
            return says
        second = run(with_defaults(kind.setting, with_defaults(kind.given, config)), folder / "again")
        again = second.says and kind.still
        says = of_refusal(second, kind.still, folder) if again else of_fields(second, kind, config, folder)
        return "refused in words" if says in ("right", "refused in words") else f"{says} (with {kind.setting})"
    says = of_fields(first, kind, config, folder)
    return "wrong: right values, and not a word" if says == "right" and not kind.at_once else says


def of_fields(outcome: Outcome, kind: Kind, config: dict, folder: Path) -> str:
    """The verdict if values are expected."""
    if outcome.fault:
        return f"wrong: {outcome.fault}"
    if outcome.says:
        return f"wrong: refused: {short(outcome.says)}"
    return chain.judge(outcome.fields, kind.truth(folder), config) if kind.truth else "wrong: taken without a word"


def of_refusal(outcome: Outcome, words: tuple[str, ...], folder: Path) -> str:
    """The verdict if a refusal with certain words is expected; words in file names do not count."""
    if outcome.fault or not outcome.says:
        return f"wrong: {outcome.fault or 'taken without a word'}"
    said = re.sub(re.escape(f"{folder}") + r"[^\s,;:)']*", "", outcome.says)
    missing = [word for word in words if not re.search(word, said, re.I | re.S)]
    return f"wrong: does not say {missing[0]}: {short(outcome.says)}" if missing else "refused in words"


def short(text: str) -> str:
    """A message in one line."""
    line = " ".join(text.split())
    return line[:SHOWN] + (" …" if len(line) > SHOWN else "")


def of_what_is_printed(name: str, text: str) -> str:
    """The verdict on the two cases whose scripts print the result; the others print nothing."""
    if name == "09/file":
        refused = set(re.findall(r"^  (['\"].*)$", text, re.M)) - set(BEYOND_A_LIBRARY)
        wrong = re.search(r"^WRONG \[(.*)\]$", text, re.M)[1]
        return "wrong: " + ", ".join(sorted(refused) + [wrong]) if refused or wrong else "right"
    if name != "32/printed":
        return "right"
    lines = dict(line.split(" -> ", 1) for line in text.splitlines())
    found = {text.strip(): said.strip() for text, said in lines.items()}
    wrong = [f"{text} -> {found.get(text)}" for text, right in DATES.items() if not _dated(found.get(text, ""), right)]
    return "wrong: " + "; ".join(wrong) if wrong else "right"


def _dated(said: str, right: tuple[str, str] | None) -> bool:
    """Whether a period was read correctly; the end of a whole day may be its last frame or last second."""
    if right is None or said.startswith("REFUSED"):
        return right is None and said.startswith("REFUSED") and "Traceback" not in said
    start, end = said.split(" .. ")
    first = start.removesuffix(" 00:00:00") == right[0].removesuffix(" 00:00:00")
    return first and (end == right[1] if " " in right[1] else bool(LAST_DAY.fullmatch(end)))


def within_memory(kind: Kind, config: dict, folder: Path) -> str:
    """The verdict on a run by Snakemake, and on the memory of its `download.local`."""
    with watched("download.local") as peak:
        says = attempt(kind, with_defaults(kind.setting, config), folder, chain.workflow)
    bound = BARE_MB + kind.setting["download"]["memory_mb"]
    return says if says != "right" or peak[0] < bound else f"wrong: {peak[0]:.0f} MB, and not below {bound}"


@contextlib.contextmanager
def watched(step: str) -> Iterator[list[float]]:
    """Peak memory (MB) of any descendant process that runs a step, sampled ten times a second."""
    peak, ended = [0.0], threading.Event()

    def look() -> None:
        while not ended.wait(0.1):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if step in process.cmdline() and "snakemake" not in " ".join(process.cmdline()):
                        peak[0] = max(peak[0], process.memory_info().rss / MEBI)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[int]:
    """Serve a folder by HTTP on the loopback; yield the port."""
    folder.mkdir(parents=True, exist_ok=True)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def environment(kind: Kind, folder: Path) -> Iterator[None]:
    """The variables that a kind needs."""
    set_ = {name: value.format(folder=folder) for name, value in kind.environment}
    before = {name: os.environ.get(name) for name in set_}
    os.environ.update(set_)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


if __name__ == "__main__":
    main()
