"""What Snakemake looks at before it says that a job has nothing to do.

It leaves out jobs that follow one that has to run, as if they had to run for that; but those that take nothing but
`ancient` files from there do not, and a change of their own would be missed (version 9.27). Here they are looked at.
"""

from snakemake.dag import DAG


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


if not hasattr(DAG, "any_way"):
    DAG.any_way, DAG.bfs = DAG.bfs, breadth_first
    # --omit-from leaves out whatever follows
    DAG.downstream_of_omitfrom = lambda dag: dag.any_way(
        dag.depending, *dag.omitfrom_jobs()
    )
