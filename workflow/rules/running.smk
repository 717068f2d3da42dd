"""The lock of a run, and how jobs end on SIGTERM.

out: results/{run}/.running, while the run lasts
"""

import snakemake.exceptions
from snakemake.exceptions import WorkflowError

from hindsight import running

RUNNING = Path(result(".running"))


ON_START = []  # functions to call before the first job

# Without a trap Bash would exit on SIGTERM while `hindsight` is still saving, and Snakemake or SLURM would kill the
# rest of the job.
shell.prefix("set -euo pipefail; trap : TERM; ")

if workflow.is_main_process:
    # Snakemake's message about a lock does not say who holds it; a version without this exception keeps its message.
    snakemake.exceptions.LockException = lambda: WorkflowError(
        running.explain_lock(Path("results"))
    )


onstart:
    try:
        running.claim(RUNNING)
        for function in ON_START:
            function()
    except UserError as error:
        sys.exit(f"{error}")
