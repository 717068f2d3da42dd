"""Verify: statistics of each network, scores of all, feedback of every observation and its summary, the report.

in:  results/{run}/preprocess/*, observe/{network}/*.parquet, {network}.usage.csv, reanalyse/*, baselines/*,
     train/curve.csv, audit.json, audit.png, download/manifest.json, settings/configuration.json
out: results/{run}/verify/statistics/{network}.nc, scores.nc, feedback/{network}/{analysis}/{shard}.parquet,
     departures.csv, departures_by_month.csv, ranks.csv, stations.csv, station_series.csv, report.html; on demand
     cross_validation.csv
"""

DIFFUSION = expand(
    "results/{{run}}/reanalyse/{{network}}/diffusion/{shard}-{block}.nc",
    shard=SHARDS,
    block=BLOCKS,
)
OTHERS = expand(
    "results/{{run}}/baselines/{{network}}/{method}/{shard}-0.nc",
    method=METHODS,
    shard=SHARDS,
)


rule compare:
    """Compare every analysis of a network with the truth or a reference, and with observations withheld from it."""
    input:
        settings="results/{run}/settings/verify.json",
        fields=store("results/{run}/preprocess/fields.zarr"),
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
        observations=expand(
            "results/{{run}}/observe/{{network}}/{shard}.parquet", shard=SHARDS
        ),
        analyses=DIFFUSION + OTHERS,
    output:
        result="results/{run}/verify/statistics/{network}.nc",
    log:
        "logs/{run}/verify/compare-{network}.log",
    benchmark:
        "logs/{run}/verify/compare-{network}.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        observations=input_list("observations"),
        analyses=input_list("analyses"),
    shell:
        "hindsight verify.compare --settings {input.settings:q}"
        " --fields {input.fields:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --observations {params.observations}"
        " --analyses {params.analyses}"
        " --result {output.result:q}"
        " > {log:q} 2>&1"


rule feedback:
    """Write the feedback of a shard: every observation with its code and its departures from an analysis."""
    input:
        settings="results/{run}/settings/feedback.json",
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        pieces=lambda wildcards: pieces_of(shard_interval_name(wildcards.shard)),  # other years trigger no rerun
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
        observations="results/{run}/observe/{network}/{shard}.parquet",
        analyses=lambda wildcards: analyses_around(
            wildcards.network, wildcards.analysis, wildcards.shard
        ),
    output:
        feedback="results/{run}/verify/feedback/{network}/{analysis}/{shard}.parquet",
    log:
        "logs/{run}/verify/feedback-{network}-{analysis}-{shard}.log",
    benchmark:
        "logs/{run}/verify/feedback-{network}-{analysis}-{shard}.tsv"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(30),
    params:
        shard=lambda wildcards: shard_interval_name(wildcards.shard),
        analyses=input_list("analyses"),
    shell:
        "hindsight verify.feedback --settings {input.settings:q}"
        " --shard {params.shard:q}"
        " --fields {input.fields:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --observations {input.observations:q}"
        " --analyses {params.analyses}"
        " --feedback {output.feedback:q}"
        " > {log:q} 2>&1"


rule departures:
    """Summarise the departures of every analysis from the observations of every network."""
    input:
        settings="results/{run}/settings/verify.json",
        feedback=expand(
            "results/{{run}}/verify/feedback/{network}/{analysis}/{shard}.parquet",
            network=NETWORKS,
            analysis=["diffusion", *METHODS],
            shard=SHARDS,
        ),
        static="results/{run}/preprocess/static.nc",
    output:
        departures="results/{run}/verify/departures.csv",
        monthly="results/{run}/verify/departures_by_month.csv",
        ranks="results/{run}/verify/ranks.csv",
        stations="results/{run}/verify/stations.csv",
        series="results/{run}/verify/station_series.csv",
    log:
        "logs/{run}/verify/departures.log",
    benchmark:
        "logs/{run}/verify/departures.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        feedback=input_list("feedback"),
    shell:
        "hindsight verify.departures --settings {input.settings:q}"
        " --feedback {params.feedback}"
        " --static {input.static:q}"
        " --departures {output.departures:q}"
        " --monthly {output.monthly:q}"
        " --ranks {output.ranks:q}"
        " --stations {output.stations:q}"
        " --series {output.series:q}"
        " > {log:q} 2>&1"


rule cross_validation:
    """Score each station of networks with `folds` by the analyses from which it was withheld; only on demand."""
    input:
        settings=result("settings/verify.json"),
        static=result("preprocess/static.nc"),
        feedback=expand(
            result("verify/feedback/{network}/{analysis}/{shard}.parquet"),
            network=FOLDS,
            analysis=["diffusion", *METHODS],
            shard=SHARDS,
        ),
    output:
        table=result("verify/cross_validation.csv"),
    log:
        f"logs/{SETTINGS.run}/verify/cross_validation.log",
    benchmark:
        f"logs/{SETTINGS.run}/verify/cross_validation.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        feedback=input_list("feedback"),
    shell:
        "hindsight verify.cross_validation --settings {input.settings:q}"
        " --feedback {params.feedback}"
        " --static {input.static:q}"
        " --table {output.table:q}"
        " > {log:q} 2>&1"


rule score:
    """Compute scores with confidence intervals from the statistics of every network."""
    input:
        settings="results/{run}/settings/verify.json",
        statistics=expand(
            "results/{{run}}/verify/statistics/{network}.nc", network=NETWORKS
        ),
        normalisation="results/{run}/preprocess/statistics.nc",
    output:
        scores="results/{run}/verify/scores.nc",
    log:
        "logs/{run}/verify/score.log",
    benchmark:
        "logs/{run}/verify/score.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    shell:
        "hindsight verify.score --settings {input.settings:q}"
        " --statistics {input.statistics:q}"
        " --normalisation {input.normalisation:q}"
        " --scores {output.scores:q}"
        " > {log:q} 2>&1"


rule report:
    """Write the report: headline, maps, scores, cost and provenance of the run."""
    input:
        settings="results/{run}/settings/verify.json",
        fields=store("results/{run}/preprocess/fields.zarr"),
        static="results/{run}/preprocess/static.nc",
        scores="results/{run}/verify/scores.nc",
        observations=expand(
            "results/{{run}}/observe/{network}/{shard}.parquet",
            network=NETWORKS,
            shard=SHARDS,
        ),
        analyses=expand(
            "results/{{run}}/reanalyse/{network}/diffusion/{shard}-{block}.nc",
            network=NETWORKS,
            shard=SHARDS,
            block=BLOCKS,
        ),
        usage=expand("results/{{run}}/observe/{network}.usage.csv", network=NETWORKS),
        monthly="results/{run}/verify/departures_by_month.csv",
        stations="results/{run}/verify/stations.csv",
        series="results/{run}/verify/station_series.csv",
        feedback=expand(
            "results/{{run}}/verify/feedback/{network}/{analysis}/{shard}.parquet",
            network=NETWORKS,
            analysis=["diffusion", *METHODS],
            shard=SHARDS,
        ),
        curve="results/{run}/train/curve.csv",
        audit="results/{run}/train/audit.json",
        audit_figure="results/{run}/train/audit.png",
        manifest=ancient("results/{run}/download/manifest.json"),
        coast=settings.coastline_files(SETTINGS),
        configuration="results/{run}/settings/configuration.json",
    output:
        report="results/{run}/verify/report.html",
    log:
        "logs/{run}/verify/report.log",
    benchmark:
        "logs/{run}/verify/report.tsv"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        observations=input_list("observations"),
        analyses=input_list("analyses"),
        feedback=input_list("feedback"),
        benchmarks="logs/{run}",  # benchmark files, as far as they exist; the report does not depend on them
    shell:
        "hindsight verify.report --settings {input.settings:q}"
        " --fields {input.fields:q}"
        " --static {input.static:q}"
        " --scores {input.scores:q}"
        " --observations {params.observations}"
        " --analyses {params.analyses}"
        " --usage {input.usage:q}"
        " --monthly {input.monthly:q}"
        " --stations {input.stations:q}"
        " --series {input.series:q}"
        " --feedback {params.feedback}"
        " --curve {input.curve:q}"
        " --audit {input.audit:q}"
        " --audit_figure {input.audit_figure:q}"
        " --coast {input.coast:q}"
        " --benchmarks {params.benchmarks:q}"
        " --manifest {input.manifest:q}"
        " --configuration {input.configuration:q}"
        " --report {output.report:q}"
        " > {log:q} 2>&1"
