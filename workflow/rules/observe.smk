"""Observe: an observation table for each network and shard, simulated or from reports, and a count of rows by use.

in:  results/{run}/preprocess/fields.zarr, climatology.nc, statistics.nc, static.nc, train/linear_prior.safetensors;
     files of reports
out: results/{run}/observe/{network}/{shard}.parquet, {network}.usage.csv;
     reports/{reports}/{interval}.parquet, {reports}.calibration.csv, screened/{reports}/{interval}.parquet,
     {reports}.denials.csv; on demand {reports}.errors.csv, {reports}.errors.yaml
"""

# Networks of real reports and simulated ones make the same file by different rules.
SIMULATED = "|".join(SETTINGS.observe.simulated) or "(?!)"
REPORTED = (
    "|".join(
        n for n in SETTINGS.observe.networks if n not in SETTINGS.observe.simulated
    )
    or "(?!)"
)
DENIALS = [
    result(f"observe/{name}.denials.csv")
    for name in SETTINGS.observe.reports
    if REPORTED != "(?!)"
]


rule simulate:
    """Observe a shard of frames with a simulated network."""
    input:
        settings=ancient("results/{run}/settings/observe.json"),  # see params.spec
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        pieces=lambda wildcards: pieces_of(shard_interval_name(wildcards.shard)),  # other years trigger no rerun
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
    wildcard_constraints:
        network=SIMULATED,
    resources:
        mem_mb=memory(1500),
        runtime=minutes(60),
    params:
        shard=lambda wildcards: shard_interval_name(wildcards.shard),
        spec=lambda wildcards: spec_of(
            wildcards.network, shard_interval_name(wildcards.shard)
        ),
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


rule collect:
    """Read the files of reports of an interval, and say what each report observes and with which error."""
    input:
        settings="results/{run}/settings/collect.json",
        files=lambda wildcards: report_files_of(wildcards.reports, wildcards.interval),
        static="results/{run}/preprocess/static.nc",
    output:
        observations="results/{run}/observe/reports/{reports}/{interval}.parquet",
    log:
        "logs/{run}/observe/collect-{reports}-{interval}.log",
    benchmark:
        "logs/{run}/observe/collect-{reports}-{interval}.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        data=SETTINGS.data,
    shell:
        "hindsight observe.collect --settings {input.settings:q}"
        " --reports {wildcards.reports:q}"
        " --interval {wildcards.interval:q}"
        " --data {params.data:q}"
        " --static {input.static:q}"
        " --observations {output.observations:q}"
        " > {log:q} 2>&1"


rule calibrate:
    """Compare the reports of the training period with its fields: bias and error of each station."""
    input:
        settings="results/{run}/settings/calibrate.json",
        observations=lambda wildcards: reports_of(
            wildcards.reports, report_intervals("train")
        ),
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        training_pieces=stores(pieces_of_splits("train")),  # other years trigger no rerun
    output:
        calibration="results/{run}/observe/{reports}.calibration.csv",
    log:
        "logs/{run}/observe/calibrate-{reports}.log",
    benchmark:
        "logs/{run}/observe/calibrate-{reports}.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        observations=input_list("observations"),
    shell:
        "hindsight observe.calibrate --settings {input.settings:q}"
        " --observations {params.observations}"
        " --fields {input.fields:q}"
        " --calibration {output.calibration:q}"
        " > {log:q} 2>&1"


# Of waves, tables of covariances between circles of latitude are held (`zonal_covariance`).
WAVES = SETTINGS.train.linear_prior.basis == "waves"


rule screen:
    """Check the reports of an interval against the climatology and each other, and correct the bias of stations."""
    input:
        settings="results/{run}/settings/screen.json",
        observations=lambda wildcards: reports_of(
            wildcards.reports, around(wildcards.interval)
        ),
        linear_prior="results/{run}/train/linear_prior.safetensors",
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
        static="results/{run}/preprocess/static.nc",
        calibration=lambda wildcards: calibration_file(wildcards.reports),
    output:
        screened="results/{run}/observe/screened/{reports}/{interval}.parquet",
    log:
        "logs/{run}/observe/screen-{reports}-{interval}.log",
    benchmark:
        "logs/{run}/observe/screen-{reports}-{interval}.tsv"
    resources:
        mem_mb=memory(4500 if WAVES else 2500),
        runtime=minutes(120),
    params:
        observations=input_list("observations"),
    shell:
        "hindsight observe.screen --settings {input.settings:q}"
        " --interval {wildcards.interval:q}"
        " --observations {params.observations}"
        " --linear_prior {input.linear_prior:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --static {input.static:q}"
        " --calibration {input.calibration:q}"
        " --screened {output.screened:q}"
        " > {log:q} 2>&1"


rule denials:
    """Propose stations and periods for denial, with reasons, from the screened reports of all years."""
    input:
        settings="results/{run}/settings/denials.json",
        screened=lambda wildcards: screened_of(wildcards.reports, REPORT_INTERVALS),
    output:
        denials="results/{run}/observe/{reports}.denials.csv",
    log:
        "logs/{run}/observe/denials-{reports}.log",
    benchmark:
        "logs/{run}/observe/denials-{reports}.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        screened=input_list("screened"),
    shell:
        "hindsight observe.denials --settings {input.settings:q}"
        " --screened {params.screened}"
        " --denials {output.denials:q}"
        " > {log:q} 2>&1"


rule tune:
    """Estimate the errors of reports from the validation period, and write settings with them; only on demand."""
    input:
        settings="results/{run}/settings/tune.json",
        screened=lambda wildcards: screened_of(
            wildcards.reports, report_intervals("validation")
        ),
        linear_prior="results/{run}/train/linear_prior.safetensors",
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
        static="results/{run}/preprocess/static.nc",
    output:
        errors="results/{run}/observe/{reports}.errors.csv",
        measurements="results/{run}/observe/{reports}.errors.yaml",
    log:
        "logs/{run}/observe/tune-{reports}.log",
    benchmark:
        "logs/{run}/observe/tune-{reports}.tsv"
    resources:
        mem_mb=memory(3000),
        runtime=minutes(60),
    params:
        screened=input_list("screened"),
    shell:
        "hindsight observe.tune --settings {input.settings:q}"
        " --screened {params.screened}"
        " --linear_prior {input.linear_prior:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --static {input.static:q}"
        " --errors {output.errors:q}"
        " --measurements {output.measurements:q}"
        " > {log:q} 2>&1"


rule select:
    """Select the observations of a network and shard from the screened reports."""
    input:
        settings=ancient("results/{run}/settings/observe.json"),  # see params.spec
        screened=lambda wildcards: [
            path
            for name in reports_of_network(wildcards.network)
            for path in screened_of(
                name, report_intervals_with(shard_interval_name(wildcards.shard))
            )
        ],
        lists=lambda wildcards: settings.choice_files(SETTINGS, wildcards.network),
    output:
        observations="results/{run}/observe/{network}/{shard}.parquet",
    log:
        "logs/{run}/observe/select-{network}-{shard}.log",
    benchmark:
        "logs/{run}/observe/select-{network}-{shard}.tsv"
    wildcard_constraints:
        network=REPORTED,
    resources:
        mem_mb=memory(1500),
        runtime=minutes(30),
    params:
        screened=input_list("screened"),
        shard=lambda wildcards: shard_interval_name(wildcards.shard),
        spec=lambda wildcards: spec_of(
            wildcards.network, shard_interval_name(wildcards.shard)
        ),
    shell:
        "hindsight observe.select --settings {input.settings:q}"
        " --network {wildcards.network:q}"
        " --shard {params.shard:q}"
        " --screened {params.screened}"
        " --lists {input.lists:q}"
        " --observations {output.observations:q}"
        " > {log:q} 2>&1"


rule usage:
    """Count a network's observations: rows that are used, and rows that are not, by reason."""
    input:
        settings=ancient("results/{run}/settings/observe.json"),  # its tables change with it
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
