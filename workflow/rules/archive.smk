"""Archive: laid out once, then written shard by shard, marked, and checked.

The store is nobody's output, because parallel jobs write it; markers beside it are (see docs/decisions/0003).

in:  results/{run}/reanalyse/{network}/diffusion/*
out: results/{run}/archive/reanalysis.zarr, layout.json, shards/{shard}.json, check.json
"""

ARCHIVE = result("archive/reanalysis.zarr")
ARCHIVED = f"results/{{run}}/reanalyse/{SETTINGS.archived_network}/diffusion"


rule layout:
    """Lay out the archive: dimensions, attributes and encodings of every array, before any data."""
    input:
        settings="results/{run}/settings/archive.json",
        first=expand(
            f"{ARCHIVED}/{{shard}}-{{block}}.nc",
            shard=SHARDS[:1],
            block=BLOCKS,
            allow_missing=True,
        ),
        fields=store("results/{run}/preprocess/fields.zarr"),
    output:
        marker="results/{run}/archive/layout.json",
    log:
        "logs/{run}/archive/layout.log",
    benchmark:
        "logs/{run}/archive/layout.tsv"
    resources:
        mem_mb=1000,
    params:
        archive=ARCHIVE,
    shell:
        "hindsight archive.layout --settings {input.settings}"
        " --first {input.first}"
        " --fields {input.fields}"
        " --archive {params.archive}"
        " --marker {output.marker}"
        " > {log} 2>&1"


rule write:
    """Write one shard of the archive, members, mean and spread, then its marker."""
    input:
        settings="results/{run}/settings/archive.json",
        layout="results/{run}/archive/layout.json",
        analyses=expand(
            f"{ARCHIVED}/{{{{shard}}}}-{{block}}.nc", block=BLOCKS, allow_missing=True
        ),
    output:
        marker="results/{run}/archive/shards/{shard}.json",
    log:
        "logs/{run}/archive/write-{shard}.log",
    benchmark:
        "logs/{run}/archive/write-{shard}.tsv"
    resources:
        mem_mb=1000,
    params:
        archive=ARCHIVE,
    shell:
        "hindsight archive.write --settings {input.settings}"
        " --layout {input.layout}"
        " --analyses {input.analyses}"
        " --archive {params.archive}"
        " --marker {output.marker}"
        " > {log} 2>&1"


rule check:
    """Reopen the archive: checksums, time axis, units, NaN."""
    input:
        settings="results/{run}/settings/archive.json",
        layout="results/{run}/archive/layout.json",
        markers=expand("results/{{run}}/archive/shards/{shard}.json", shard=SHARDS),
    output:
        result="results/{run}/archive/check.json",
    log:
        "logs/{run}/archive/check.log",
    benchmark:
        "logs/{run}/archive/check.tsv"
    resources:
        mem_mb=1000,
    params:
        archive=ARCHIVE,
    shell:
        "hindsight archive.check --settings {input.settings}"
        " --layout {input.layout}"
        " --markers {input.markers}"
        " --archive {params.archive}"
        " --result {output.result}"
        " > {log} 2>&1"
