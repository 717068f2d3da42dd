"""Settings: a file for each stage, so that a change reruns only that stage and those that depend on it.

out: results/{run}/settings/{stage}.json; .credentials.json in the same folder for steps that need it
"""

from hindsight.settings import credentials

# Credentials are written before any job starts, where the steps that need them look; no rule handles them.
ON_START += [
    lambda: credentials.write({"download": DOWNLOAD_REQUEST}, Path(resource(""))),
    lambda: credentials.write(
        {"archive": SETTINGS.archive, "real_reports": SETTINGS.observe},
        Path(result("settings")),
    ),
]

if LONG:

    rule settings:
        """Write the settings of one stage, which are too long for a command."""
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
        """Write the settings of one stage."""
        output:
            "results/{run}/settings/{stage}.json",
        log:
            "logs/{run}/settings/{stage}.log",
        localrule: True
        params:
            text=lambda wildcards: settings.stage_settings(SETTINGS, wildcards.stage),
        shell:
            "printf '%s\n' {params.text:q} > {output:q} 2> {log:q}"
