"""A correction of Snakemake 9.27: jobs that are linked by `ancient` files only are checked for changes of their own.

To find the jobs that have to run, Snakemake first skips every job downstream of one that has to run
(`DAG.update_needrun`), since that job will run anyway. Then it starts the downstream jobs, except those that take only
`ancient` files from it. So a job with an `ancient` input from a job that has to run is skipped and not started, and a
change of its own settings, parameters or other inputs is missed. Here the skip leaves such jobs out.

Snakemake has no setting for this, and nothing that a rule can declare avoids it. Without `ancient` a longer period
would train the prior again; as a parameter instead of an input the file would not have to exist first; a stamp file
between the two jobs would be new whenever the first job runs; a checkpoint is for files whose names are not known. So
this replaces two methods of Snakemake. pyproject.toml pins its major version; the methods are checked before they are
replaced, and their results afterwards, before any job starts.
"""

import inspect
import sys
from types import SimpleNamespace

import snakemake
from snakemake.dag import DAG
from snakemake.io import _IOFile

SIGNATURES = {  # methods that are replaced or called, and their parameters
    "bfs": ["self", "direction", "jobs", "stop"],
    "downstream_of_omitfrom": ["self"],
    "omitfrom_jobs": ["self"],
}


def unknown(what: str) -> None:
    """Exit with a sentence: this Snakemake differs from the one that is corrected here."""
    sys.exit(
        f"this workflow corrects two methods of Snakemake, and version {snakemake.__version__} differs inside ({what}); "
        "install a supported version by `make setup` or `pip install 'snakemake>=9.27,<10'`. Otherwise jobs whose own "
        "settings have changed could be skipped silently"
    )


def triggered(dag, jobs) -> set:
    """Jobs, and all jobs that have to run because these run."""
    found, new = set(jobs), list(jobs)
    while new:
        after = dag.depending[new.pop()].items()
        next_jobs = [
            job for job, files in after if not all(f.is_ancient for f in files)
        ]
        new += [job for job in next_jobs if job not in found]
        found.update(next_jobs)
    return found


def breadth_first(dag, direction, *jobs, **options):
    """In place of `DAG.bfs`: downstream of jobs that have to run, only the jobs that these trigger."""
    if direction is dag.depending:
        return triggered(dag, jobs)
    return dag.original_bfs(direction, *jobs, **options)


def check_methods() -> None:
    """Exit if a method or its parameters differ from those of version 9.27."""
    for name, parameters in SIGNATURES.items():
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
    """The names that a function and its inner functions look up."""
    code = getattr(function, "__code__", function)
    inner = [part for part in getattr(code, "co_consts", ()) if inspect.iscode(part)]
    return {*getattr(code, "co_names", ())}.union(*map(names_in, inner))


def check_results() -> None:
    """Exit unless the replaced methods give the right jobs: `b` takes an ancient file from `a`, and `c` another one."""
    files = {
        "b": [SimpleNamespace(is_ancient=True)],
        "c": [SimpleNamespace(is_ancient=False)],
    }
    dag = SimpleNamespace(
        depending={"a": files, "b": {}, "c": {}}, omitfrom_jobs=lambda: ["a"]
    )
    dag.original_bfs = lambda *args: DAG.original_bfs(dag, *args)
    if set(DAG.bfs(dag, dag.depending, "a")) != {"a", "c"}:
        unknown("DAG.bfs was not replaced")
    if set(DAG.downstream_of_omitfrom(dag)) != {"a", "b", "c"}:
        unknown("DAG.downstream_of_omitfrom was not replaced")


if not hasattr(DAG, "original_bfs"):
    check_methods()
    DAG.original_bfs, DAG.bfs = DAG.bfs, breadth_first
    # --omit-from leaves out everything downstream
    DAG.downstream_of_omitfrom = lambda dag: dag.original_bfs(
        dag.depending, *dag.omitfrom_jobs()
    )
check_results()
