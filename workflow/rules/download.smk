"""Download: a source as it is, names and units untouched; one rule a source, the one that the settings name.

in:  files below the data folder (local), nothing (synthetic)
out: resources/{dataset}/raw.zarr, download.json
"""

ASKED = f"resources/{SETTINGS.download.dataset}/download.json"
RAW = store(f"resources/{SETTINGS.download.dataset}/raw.zarr")


rule asked:
    """Say what is asked of the source, beside it: runs share a source, and remake it only when this changes."""
    output:
        ASKED,
    log:
        f"logs/{SETTINGS.run}/download/asked.log",
    localrule: True
    params:
        text=settings.for_stage(SETTINGS, "download"),
    shell:
        "printf '%s\n' {params.text:q} > {output} 2> {log}"


if SETTINGS.download.source == "local":

    rule local:
        """Gather netCDF files or Zarr stores from disk into one store."""
        input:
            settings=ASKED,
            files=settings.source_files(SETTINGS),
        output:
            raw=RAW,
        log:
            f"logs/{SETTINGS.run}/download/local.log",
        benchmark:
            f"benchmarks/{SETTINGS.run}/download/local.tsv"
        resources:
            mem_mb=1000,
        shell:
            "hindsight download.local --settings {input.settings}"
            " --files {input.files:q}"
            " --raw {output.raw}"
            " > {log} 2>&1"


if SETTINGS.download.source == "synthetic":

    rule synthetic:
        """Make a built-in world: years of weather from a model's equations, where there is no data."""
        input:
            settings=ASKED,
        output:
            raw=RAW,
        log:
            f"logs/{SETTINGS.run}/download/synthetic.log",
        benchmark:
            f"benchmarks/{SETTINGS.run}/download/synthetic.tsv"
        resources:
            mem_mb=1000,
        shell:
            "hindsight download.synthetic --settings {input.settings}"
            " --raw {output.raw}"
            " > {log} 2>&1"
