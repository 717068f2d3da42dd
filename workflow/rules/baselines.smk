"""Baselines: rule `baseline` serves all methods; its wildcard `method` names the module, which is the step.

in:  results/{run}/preprocess/*, observe/{network}/{shard}.parquet, train/linear_prior.safetensors
out: results/{run}/baselines/covariance.npy, {network}/{method}/{shard}-0.nc
"""

SPAN = SETTINGS.baselines.optimal_interpolation.frames


rule covariance:
    """Fit the covariance of the training period and its square root, once for all shards and networks."""
    input:
        settings="results/{run}/settings/covariance.json",
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        training_pieces=stores(pieces_of_splits("train")),  # other years trigger no rerun
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
    output:
        covariance="results/{run}/baselines/covariance.npy",
    log:
        "logs/{run}/baselines/covariance.log",
    benchmark:
        "logs/{run}/baselines/covariance.tsv"
    resources:
        mem_mb=matrix_memory(2500, 10, SPAN),
        runtime=minutes(120),
    shell:
        "hindsight baselines.covariance --settings {input.settings:q}"
        " --fields {input.fields:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --covariance {output.covariance:q}"
        " > {log:q} 2>&1"


rule baseline:
    """Analyse one shard of frames by a baseline method, from the same observations as the diffusion."""
    input:
        settings="results/{run}/settings/baselines.json",
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        training_pieces=stores(pieces_of_splits("train", "validation")),  # other years trigger no rerun
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
        observations=lambda wildcards: tables_of_shard(
            wildcards.network,
            wildcards.shard,
            baseline_stretch(wildcards.shard, wildcards.method),
        ),
        sources=lambda wildcards: sources_of_tables(
            wildcards.network, baseline_stretch(wildcards.shard, wildcards.method)
        ),
        fitted=lambda wildcards: list(fitted_file(wildcards.method).values()),
    output:
        analysis="results/{run}/baselines/{network}/{method}/{shard}-0.nc",
    log:
        "logs/{run}/baselines/{method}-{network}-{shard}.log",
    benchmark:
        "logs/{run}/baselines/{method}-{network}-{shard}.tsv"
    resources:
        mem_mb=matrix_memory(2500, 8, SPAN, when=reads_covariance),
        runtime=minutes(120),
    params:
        observations=input_list("observations"),
        shard=lambda wildcards: shard_interval_name(wildcards.shard),
        spec=lambda wildcards: spec_of(
            wildcards.network, baseline_stretch(wildcards.shard, wildcards.method)
        ),
        fitted=lambda wildcards: [
            word
            for option, file in fitted_file(wildcards.method).items()
            for word in (f"--{option}", file)
        ],
    shell:
        "hindsight baselines.{wildcards.method:q} --settings {input.settings:q}"
        " --fields {input.fields:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --observations {params.observations}"
        " --shard {params.shard:q}"
        " --analysis {output.analysis:q}"
        " {params.fitted:q}"
        " > {log:q} 2>&1"
