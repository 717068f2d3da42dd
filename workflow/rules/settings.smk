"""Settings: one small file a stage, so that a change reruns that stage and what follows it, and nothing else.

out: results/{run}/settings/{stage}.json; .credentials.json beside the settings of steps that need any
"""

from hindsight.settings import credentials

# Credentials are put where the steps that need them look, before any job starts: no rule sees them.
STARTING += [
    lambda: credentials.write({"download": ASKED}, Path(resource(""))),
    lambda: credentials.write({"archive": SETTINGS.archive}, Path(result("settings"))),
]

if LONG:

    rule settings:
        """Give one stage its own part of the settings, which no command has room for."""
        output:
            "results/{run}/settings/{stage}.json",
        log:
            "logs/{run}/settings/{stage}.log",
        localrule: True
        params:
            text=lambda wildcards: settings.stage_settings(SETTINGS, wildcards.stage),
        run:
            write(params.text, output)

else:

    rule settings:
        """Give one stage its own part of the settings, and nothing else."""
        output:
            "results/{run}/settings/{stage}.json",
        log:
            "logs/{run}/settings/{stage}.log",
        localrule: True
        params:
            text=lambda wildcards: settings.stage_settings(SETTINGS, wildcards.stage),
        shell:
            "printf '%s\n' {params.text:q} > {output:q} 2> {log:q}"
