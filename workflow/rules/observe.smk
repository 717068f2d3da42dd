"""Observe: an observation table for each network and shard, and a count of the rows by use for each network.

in:  results/{run}/preprocess/fields.zarr, statistics.nc, static.nc
out: results/{run}/observe/{network}/{shard}.parquet, {network}.usage.csv
"""


rule simulate:
    """Observe a shard of frames with a simulated network."""
    input:
        settings="results/{run}/settings/observe.json",
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        pieces=lambda wildcards: pieces_of(shard_frames(wildcards.shard)),  # other years trigger no rerun
        statistics="results/{run}/preprocess/statistics.nc",
        static="results/{run}/preprocess/static.nc",
        station_list=lambda wildcards: settings.station_files(
            SETTINGS, wildcards.network
        ),
    output:
        observations="results/{run}/observe/{network}/{shard}.parquet",
    log:
        "logs/{run}/observe/simulate-{network}-{shard}.log",
    benchmark:
        "logs/{run}/observe/simulate-{network}-{shard}.tsv"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(60),
    params:
        shard=lambda wildcards: shard_frames(wildcards.shard),
    shell:
        "hindsight observe.simulate --settings {input.settings:q}"
        " --network {wildcards.network:q}"
        " --shard {params.shard:q}"
        " --fields {input.fields:q}"
        " --statistics {input.statistics:q}"
        " --static {input.static:q}"
        " --station_list {input.station_list:q}"
        " --observations {output.observations:q}"
        " > {log:q} 2>&1"


rule usage:
    """Count a network's observations: rows that are used, and rows that are not, by reason."""
    input:
        settings="results/{run}/settings/observe.json",
        observations=expand(
            "results/{{run}}/observe/{{network}}/{shard}.parquet", shard=SHARDS
        ),
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        station_list=lambda wildcards: settings.station_files(
            SETTINGS, wildcards.network
        ),
    output:
        usage="results/{run}/observe/{network}.usage.csv",
    log:
        "logs/{run}/observe/usage-{network}.log",
    benchmark:
        "logs/{run}/observe/usage-{network}.tsv"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(60),
    params:
        observations=input_list("observations"),
    shell:
        "hindsight observe.usage --settings {input.settings:q}"
        " --network {wildcards.network:q}"
        " --fields {input.fields:q}"
        " --observations {params.observations}"
        " --station_list {input.station_list:q}"
        " --usage {output.usage:q}"
        " > {log:q} 2>&1"
