"""Reanalyse: one job for each shard of frames and block of members.

in:  results/{run}/train/prior.safetensors, preprocess/climatology.nc, statistics.nc, observe/{network}/{shard}.parquet
out: results/{run}/reanalyse/{network}/plan.json, diffusion/{shard}-{block}.nc
"""

AUDITED = (
    [ancient(result("train/audit.json"))]
    if SETTINGS.train.audit.limit is not None
    else []
)

# the controller of the prior, if the guidance needs one
CONTROLLER = (
    ["results/{run}/train/controller.safetensors"]
    if SETTINGS.reanalyse.guidance.traits.controller
    else []
)

# directions of the audit, if analyses are steered
STEERING = (
    ["results/{run}/train/steering.safetensors"]
    if SETTINGS.reanalyse.steering.strength
    else []
)


rule shard:
    """Analyse one shard of frames for one block of members."""
    input:
        settings="results/{run}/settings/reanalyse.json",
        prior="results/{run}/train/prior.safetensors",
        controller=CONTROLLER,
        steering=STEERING,
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
        observations=lambda wildcards: tables_of_shard(
            wildcards.network, wildcards.shard, stretch(wildcards.shard)
        ),
        sources=lambda wildcards: sources_of_tables(
            wildcards.network, stretch(wildcards.shard)
        ),
        plan=ancient("results/{run}/reanalyse/{network}/plan.json"),  # not written above a limit, so no job starts
    output:
        analysis="results/{run}/reanalyse/{network}/diffusion/{shard}-{block}.nc",
    log:
        "logs/{run}/reanalyse/shard-{network}-{shard}-{block}.log",
    benchmark:
        "logs/{run}/reanalyse/shard-{network}-{shard}-{block}.tsv"
    threads: SETTINGS.reanalyse.threads
    resources:
        mem_mb=forecast_memory(3000),
        runtime=minutes(120),
    params:
        observations=input_list("observations"),
        shard=lambda wildcards: shard_interval_name(wildcards.shard),
        stretch=lambda wildcards: stretch(wildcards.shard),
        members=lambda wildcards: members(wildcards.block),
        spec=lambda wildcards: spec_of(wildcards.network, stretch(wildcards.shard)),
    shell:
        "hindsight reanalyse.shard --settings {input.settings:q}"
        " --prior {input.prior:q}"
        " --controller {input.controller:q}"
        " --steering {input.steering:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --observations {params.observations}"
        " --shard {params.shard:q}"
        " --stretch {params.stretch:q}"
        " --members {params.members:q}"
        " --analysis {output.analysis:q}"
        " > {log:q} 2>&1"


rule plan:
    """Forecast the cost of the jobs of a network from a few timed stretches; stop above a limit."""
    input:
        settings="results/{run}/settings/plan.json",
        prior="results/{run}/train/prior.safetensors",
        controller=CONTROLLER,
        steering=STEERING,
        climatology="results/{run}/preprocess/climatology.nc",
        observations=ancient_files(observation_tables(stretch(SHARDS[0]))),  # a correction hardly changes the cost
        audit=AUDITED,  # not written above a limit, so no job starts
    output:
        plan="results/{run}/reanalyse/{network}/plan.json",
    log:
        "logs/{run}/reanalyse/plan-{network}.log",
    benchmark:
        "logs/{run}/reanalyse/plan-{network}.tsv"
    threads: SETTINGS.reanalyse.threads
    resources:
        mem_mb=memory(3000),
        runtime=minutes(30),
        attempt=lambda wildcards, attempt: attempt,  # a retry is refused without timing again
    params:
        observations=input_list("observations"),
        archive=lambda wildcards: (
            result("archive/reanalysis.zarr")
            if wildcards.network == SETTINGS.archived_network
            else []
        ),
    shell:
        "hindsight reanalyse.plan --settings {input.settings:q}"
        " --prior {input.prior:q}"
        " --controller {input.controller:q}"
        " --steering {input.steering:q}"
        " --climatology {input.climatology:q}"
        " --observations {params.observations}"
        " --archive {params.archive:q}"
        " --plan {output.plan:q}"
        " --attempt {resources.attempt:q}"
        " > {log:q} 2>&1"
