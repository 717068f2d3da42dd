"""Reanalyse: a shard of frames and a block of members is a job.

in:  results/{run}/train/prior.safetensors, preprocess/climatology.nc, statistics.nc, observe/{network}.parquet
out: results/{run}/reanalyse/{network}/diffusion/{shard}-{block}.nc
"""


rule shard:
    """Sample one shard of frames for one block of members."""
    input:
        settings="results/{run}/settings/reanalyse.json",
        prior="results/{run}/train/prior.safetensors",
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
        observations="results/{run}/observe/{network}.parquet",
    output:
        analysis="results/{run}/reanalyse/{network}/diffusion/{shard}-{block}.nc",
    log:
        "logs/{run}/reanalyse/shard-{network}-{shard}-{block}.log",
    benchmark:
        "logs/{run}/reanalyse/shard-{network}-{shard}-{block}.tsv"
    threads: SETTINGS.reanalyse.threads
    resources:
        mem_mb=2000,
    shell:
        "hindsight reanalyse.shard --settings {input.settings}"
        " --prior {input.prior}"
        " --climatology {input.climatology}"
        " --statistics {input.statistics}"
        " --observations {input.observations}"
        " --shard {wildcards.shard}"
        " --block {wildcards.block}"
        " --analysis {output.analysis}"
        " > {log} 2>&1"
