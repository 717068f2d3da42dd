"""Preprocess: from a source's own names, units and order to the pipeline's fields, and what they are like.

in:  resources/{dataset}/raw.zarr
out: results/{run}/preprocess/fields.zarr, static.nc, climatology.nc, statistics.nc
"""


rule canonical:
    """Bring the source to canonical channels, units and order, and refuse gaps and NaN."""
    input:
        settings="results/{run}/settings/preprocess.json",
        raw=RAW,
    output:
        fields=store("results/{run}/preprocess/fields.zarr"),
    log:
        "logs/{run}/preprocess/canonical.log",
    benchmark:
        "benchmarks/{run}/preprocess/canonical.tsv"
    resources:
        mem_mb=1000,
    shell:
        "hindsight preprocess.canonical --settings {input.settings}"
        " --raw {input.raw}"
        " --fields {output.fields}"
        " > {log} 2>&1"


rule static:
    """Bring land fraction and orography to the working grid, where they are given."""
    input:
        settings="results/{run}/settings/preprocess.json",
        fields=store("results/{run}/preprocess/fields.zarr"),
        raw=RAW,
        given=settings.static_files(SETTINGS),
    output:
        static="results/{run}/preprocess/static.nc",
    log:
        "logs/{run}/preprocess/static.log",
    benchmark:
        "benchmarks/{run}/preprocess/static.tsv"
    resources:
        mem_mb=1000,
    shell:
        "hindsight preprocess.static --settings {input.settings}"
        " --fields {input.fields}"
        " --raw {input.raw}"
        " --given {input.given:q}"
        " --static {output.static}"
        " > {log} 2>&1"


rule climatology:
    """Fit the climatology of the training period, by day of year and hour, in few harmonics."""
    input:
        settings="results/{run}/settings/preprocess.json",
        fields=store("results/{run}/preprocess/fields.zarr"),
    output:
        climatology="results/{run}/preprocess/climatology.nc",
    log:
        "logs/{run}/preprocess/climatology.log",
    benchmark:
        "benchmarks/{run}/preprocess/climatology.tsv"
    resources:
        mem_mb=1000,
    shell:
        "hindsight preprocess.climatology --settings {input.settings}"
        " --fields {input.fields}"
        " --climatology {output.climatology}"
        " > {log} 2>&1"


rule statistics:
    """Measure the spread of each channel about its climatology, over the training period."""
    input:
        settings="results/{run}/settings/preprocess.json",
        fields=store("results/{run}/preprocess/fields.zarr"),
        climatology="results/{run}/preprocess/climatology.nc",
    output:
        statistics="results/{run}/preprocess/statistics.nc",
    log:
        "logs/{run}/preprocess/statistics.log",
    benchmark:
        "benchmarks/{run}/preprocess/statistics.tsv"
    resources:
        mem_mb=1000,
    shell:
        "hindsight preprocess.statistics --settings {input.settings}"
        " --fields {input.fields}"
        " --climatology {input.climatology}"
        " --statistics {output.statistics}"
        " > {log} 2>&1"
