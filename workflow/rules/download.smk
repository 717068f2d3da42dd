"""Download: a source as it is, names and units untouched.

in:  files below the data folder
out: resources/{dataset}/raw.zarr
"""


rule local:
    """Gather netCDF files or Zarr stores from disk into one store."""
    input:
        settings=result("settings/download.json"),
        files=settings.source_files(SETTINGS),
    output:
        raw=store(f"resources/{SETTINGS.download.dataset}/raw.zarr"),
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
