"""Baselines: one rule; the wildcard names the module, so a new method is a module and a word in the settings.

in:  results/{run}/preprocess/*, observe/{network}.parquet
out: results/{run}/baselines/{network}/{method}/{shard}-0.nc
"""


rule method:
    """Analyse one shard of frames by another method, from the same observations."""
    input:
        settings="results/{run}/settings/baselines.json",
        fields=store("results/{run}/preprocess/fields.zarr"),
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
        observations="results/{run}/observe/{network}.parquet",
    output:
        analysis="results/{run}/baselines/{network}/{method}/{shard}-0.nc",
    log:
        "logs/{run}/baselines/{method}-{network}-{shard}.log",
    benchmark:
        "logs/{run}/baselines/{method}-{network}-{shard}.tsv"
    resources:
        mem_mb=2000,
    shell:
        "hindsight baselines.{wildcards.method} --settings {input.settings}"
        " --fields {input.fields}"
        " --climatology {input.climatology}"
        " --statistics {input.statistics}"
        " --observations {input.observations}"
        " --shard {wildcards.shard}"
        " --analysis {output.analysis}"
        " > {log} 2>&1"
