"""What Snakemake looks at before it says that a job has nothing to do.

It leaves out jobs that follow one that has to run, as if they had to run for that; but those that take nothing but
`ancient` files from there do not, and a change of their own would be missed (version 9.27). Here they are looked at.

This reaches into Snakemake, whose insides may change with a version; pyproject.toml pins the major one. So what is
reached for is looked at first, and what has come of it afterwards, before any job starts.
"""

import inspect
import sys
from types import SimpleNamespace

import snakemake
from snakemake.dag import DAG
from snakemake.io import _IOFile

REACHED = {  # methods and their parameters
    "bfs": ["self", "direction", "jobs", "stop"],
    "downstream_of_omitfrom": ["self"],
    "omitfrom_jobs": ["self"],
}


def unknown(what: str) -> None:
    """End here, in words: this Snakemake is not the one that was reached into."""
    sys.exit(
        f"this workflow reaches into Snakemake and does not know version {snakemake.__version__} inside ({what}); "
        "install one that it knows, by `make setup` or `pip install 'snakemake>=9.27,<10'`. Without that, jobs whose own "
        "settings have changed could be left out without a word"
    )


def following(dag, jobs) -> set:
    """Jobs, and those that have to run because these do."""
    found, new = set(jobs), list(jobs)
    while new:
        after = dag.depending[new.pop()].items()
        heed = [job for job, files in after if not all(f.is_ancient for f in files)]
        new += [job for job in heed if job not in found]
        found.update(heed)
    return found


def breadth_first(dag, direction, *jobs, **options):
    """Snakemake's own, but downstream of jobs that have to run."""
    if direction is dag.depending:
        return following(dag, jobs)
    return dag.any_way(direction, *jobs, **options)


def as_known() -> None:
    """Look at what is reached for."""
    for name, parameters in REACHED.items():
        method = getattr(DAG, name, None)
        if (
            not callable(method)
            or list(inspect.signature(method).parameters) != parameters
        ):
            unknown(f"DAG.{name}")
    if not isinstance(getattr(_IOFile, "is_ancient", None), property):
        unknown("is_ancient of files")
    if not {"bfs", "depending"} <= names_in(getattr(DAG, "update_needrun", None)):
        unknown("DAG.update_needrun")


def names_in(function: object) -> set[str]:
    """The names that a function and those inside of it look up."""
    code = getattr(function, "__code__", function)
    inner = [part for part in getattr(code, "co_consts", ()) if inspect.iscode(part)]
    return {*getattr(code, "co_names", ())}.union(*map(names_in, inner))


def took() -> None:
    """Look whether Snakemake finds what it should: after `a` comes `b`, which takes an ancient file from it, and `c`."""
    files = {
        "b": [SimpleNamespace(is_ancient=True)],
        "c": [SimpleNamespace(is_ancient=False)],
    }
    dag = SimpleNamespace(
        depending={"a": files, "b": {}, "c": {}}, omitfrom_jobs=lambda: ["a"]
    )
    dag.any_way = lambda *given: DAG.any_way(dag, *given)
    if set(DAG.bfs(dag, dag.depending, "a")) != {"a", "c"}:
        unknown("DAG.bfs is not what it was made")
    if set(DAG.downstream_of_omitfrom(dag)) != {"a", "b", "c"}:
        unknown("DAG.downstream_of_omitfrom is not what it was made")


if not hasattr(DAG, "any_way"):
    as_known()
    DAG.any_way, DAG.bfs = DAG.bfs, breadth_first
    # --omit-from leaves out whatever follows
    DAG.downstream_of_omitfrom = lambda dag: dag.any_way(
        dag.depending, *dag.omitfrom_jobs()
    )
took()
