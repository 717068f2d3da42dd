"""A thousand small sources, each altered in several ways: they must give right values or be refused.

    python benchmarks/fuzz.py --count 1000 --seed 1 --json results/fuzz.json
    python benchmarks/fuzz.py --only 1-417 --keep /tmp/417

A source has one to four of the mutations in `benchmarks/mutations.py`, drawn from its seed and number alone, and goes
through the first steps of the pipeline in this process. It may give the right values or be refused (`UserError`); an
incomplete source must be refused. Any other exception, a wrong value, or an incomplete source that is accepted is a
failure. The refusal of a complete source is counted separately, as `needless`.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import chain
import numpy as np
import shapes
from mutations import GROUPS, Mutation, Unfit

MOST = 4  # mutations of a source
WEIGHTS = {"files": 3, "changes": 4, "levels": 3, "values": 0.4, "grid": 0.4, "region": 1.5, "attributes": 0.5}
WEIGHTS |= dict.fromkeys(("dimensions", "units", "times", "names", "coordinates", "packing", "format", "precision"), 2)
RAINS = 0.1  # share of sources that are sums over time
OF_FRAMES = {"frames", "values", "times", "dimensions"}  # groups that need exactly the requested frames
FAILURES = ("fault", "wrong", "taken")
VERDICTS = ("right", "refused", "needless", *FAILURES)


@dataclass(frozen=True)
class Found:
    """The result of one source: its name, mutations, verdict and message."""

    name: str
    mutations: list[str]
    verdict: str
    says: str

    @property
    def line(self) -> str:
        """All of it in a line."""
        return f"{self.name} {self.verdict}: {'+'.join(self.mutations)}: {' '.join(self.says.split())[:300]}"


def main() -> None:
    """Try the sources, print the failures, and write the counts and everything that is not right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one source, SEED-NUMBER")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--keep", type=Path, help="keep the files of the sources in this folder")
    chosen = parser.parse_args()
    began = time.perf_counter()
    names = [chosen.only] if chosen.only else [f"{chosen.seed}-{number}" for number in range(chosen.count)]
    found = [attempt(name, chosen.keep) for name in names]
    counts = Counter(one.verdict for one in found)
    figures = {"sources": len(found), "seconds": round(time.perf_counter() - began, 1)}
    figures |= {verdict: counts[verdict] for verdict in VERDICTS}
    figures |= {"failures": [one.line for one in found if one.verdict in FAILURES]}
    figures |= {"refused_needlessly": [one.line for one in found if one.verdict == "needless"]}
    print(json.dumps(figures, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=1))
    if counts.keys() & set(FAILURES):
        raise SystemExit(1)


def attempt(name: str, keep: Path | None = None) -> Found:
    """Make the source of a name, SEED-NUMBER, run it, and judge the result."""
    source, mutations = make(name)
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as folder:
        here = keep / name if keep else Path(folder) / name
        shapes.write(source, here)
        outcome = chain.inside(source.config, here / "run")
    verdict, says = judge(source, outcome)
    return Found(name, mutations, verdict, says)


def make(name: str) -> tuple[shapes.Source, list[str]]:
    """The source of a name, and the mutations that it has."""
    rng = np.random.default_rng([int(word) for word in name.split("-")])
    weights = np.array([WEIGHTS.get(group, 1.0) for group in GROUPS])
    drawn = rng.choice(list(GROUPS), rng.integers(1, MOST + 1), replace=False, p=weights / weights.sum())
    chosen = {*drawn, *(("files",) if "changes" in drawn else ())}
    if rng.random() < RAINS:
        form = list(shapes.FORMS)[rng.integers(len(shapes.FORMS))]
        source, first = shapes.rain(rng, form), [form]
        chosen -= OF_FRAMES
    else:
        source, first = shapes.plain(rng), []
    return source, first + [
        word for name, group in GROUPS.items() if name in chosen and (word := applied(source, group, rng))
    ]


def applied(source: shapes.Source, group: tuple[Mutation, ...], rng: np.random.Generator) -> str:
    """Apply to a source the first mutation of a group, in random order, that fits it; return its name."""
    for number in rng.permutation(len(group)):
        try:
            group[number](source, rng)
        except Unfit:
            continue
        return group[number].__name__
    return ""


def judge(source: shapes.Source, outcome: chain.Outcome) -> tuple[str, str]:
    """The verdict on the outcome of a source, and its message."""
    if outcome.fault:
        return "fault", outcome.fault
    if outcome.says:
        return ("needless" if source.expected == "right" else "refused"), outcome.says
    if source.expected == "refused":
        return "taken", "taken without a word"
    says = chain.judge(outcome.fields, shapes.truth_of(source), source.config)
    return says.split(":")[0], says


if __name__ == "__main__":
    main()
