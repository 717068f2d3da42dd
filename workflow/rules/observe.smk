"""Observe: one observation table a network.

in:  results/{run}/preprocess/fields.zarr, statistics.nc, static.nc
out: results/{run}/observe/{network}.parquet
"""


rule simulate:
    """Observe the test period with a simulated network."""
    input:
        settings="results/{run}/settings/observe.json",
        fields=store("results/{run}/preprocess/fields.zarr"),
        statistics="results/{run}/preprocess/statistics.nc",
        static="results/{run}/preprocess/static.nc",
        places=lambda wildcards: settings.station_files(SETTINGS, wildcards.network),
    output:
        observations="results/{run}/observe/{network}.parquet",
    log:
        "logs/{run}/observe/simulate-{network}.log",
    benchmark:
        "logs/{run}/observe/simulate-{network}.tsv"
    resources:
        mem_mb=1000,
    shell:
        "hindsight observe.simulate --settings {input.settings}"
        " --network {wildcards.network}"
        " --fields {input.fields}"
        " --statistics {input.statistics}"
        " --static {input.static}"
        " --places {input.places:q}"
        " --observations {output.observations}"
        " > {log} 2>&1"
