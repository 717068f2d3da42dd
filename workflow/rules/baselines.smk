"""Baselines: one rule; the wildcard names the module, so a new method is a module and a word in the settings.

in:  results/{run}/preprocess/*, observe/{network}/{shard}.parquet
out: results/{run}/baselines/{network}/{method}/{shard}-0.nc
"""


rule method:
    """Analyse one shard of frames by another method, from the same observations."""
    input:
        settings="results/{run}/settings/baselines.json",
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        learnt=stores(learnt("train", "validation")),  # other years change nothing
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
        observations=lambda wildcards: observed(around(wildcards.shard)),
    output:
        analysis="results/{run}/baselines/{network}/{method}/{shard}-0.nc",
    log:
        "logs/{run}/baselines/{method}-{network}-{shard}.log",
    benchmark:
        "logs/{run}/baselines/{method}-{network}-{shard}.tsv"
    resources:
        mem_mb=memory(2500),
        runtime=minutes(120),
    params:
        observations=listed("observations"),
        shard=lambda wildcards: own(wildcards.shard),
    shell:
        "hindsight baselines.{wildcards.method:q} --settings {input.settings:q}"
        " --fields {input.fields:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --observations {params.observations}"
        " --shard {params.shard:q}"
        " --analysis {output.analysis:q}"
        " > {log:q} 2>&1"
