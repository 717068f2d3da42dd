"""What holds for every run and every job: who is at work here, and how a job leaves that is told to.

out: results/{run}/.running, while the run lasts
"""

import snakemake.exceptions
from snakemake.exceptions import WorkflowError

from hindsight import running

RUNNING = Path(result(".running"))


STARTING = []  # what else is done before the first job

# Bash dies of SIGTERM while `hindsight` is still saving, and Snakemake or SLURM then clears away what is left of the job;
# with a trap it waits.
shell.prefix("set -euo pipefail; trap : TERM; ")

if workflow.is_main_process:
    # Snakemake's own words for a lock cannot say whose it is; a version that does not ask for these says its own.
    snakemake.exceptions.LockException = lambda: WorkflowError(
        running.explain_lock(Path("results"))
    )


onstart:
    try:
        running.claim(RUNNING)
        for begin in STARTING:
            begin()
    except UserError as error:
        sys.exit(f"{error}")
