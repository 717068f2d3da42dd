"""Download a source unchanged, with its names and units; the rules are those of the source in the settings.

in:  files below the data folder or at URLs (local, grib, radar), a Zarr store (bucket), nothing (synthetic)
out: resources/{dataset}/raw.zarr (synthetic); parts/*.zarr and parts/*.json (local, bucket, grib, radar); download.json
     resources/{dataset}/sources.json: the files (local, grib, radar); their contents in contents.json (local),
     catalogue.parquet (grib) or composites.json (radar); files/{name} from URLs
     results/{run}/download/manifest.json: that it is complete
"""

DOWNLOAD = resource("download.json")
REMOTE = settings.remote_files(SETTINGS.download)


if LONG:

    rule request:
        """Write the request to the source; it is too long for a command."""
        output:
            DOWNLOAD,
        log:
            f"logs/{SETTINGS.run}/download/request.log",
        localrule: True
        params:
            text=lambda wildcards: settings.stage_settings(SETTINGS, "download"),
        run:
            write(params.text, output)

else:

    rule request:
        """Write the request to the source; runs share a source, and it is made anew only if this file changes."""
        output:
            DOWNLOAD,
        log:
            f"logs/{SETTINGS.run}/download/request.log",
        localrule: True
        params:
            text=lambda wildcards: settings.stage_settings(SETTINGS, "download"),
        shell:
            "printf '%s\n' {params.text:q} > {output:q} 2> {log:q}"


rule files:
    """Fetch one file from a URL, resuming where a killed job left off."""
    input:
        settings=DOWNLOAD,
    output:
        file=resource("files/{name}"),
    log:
        f"logs/{SETTINGS.run}/download/files-{{name}}.log",
    benchmark:
        f"logs/{SETTINGS.run}/download/files-{{name}}.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(240),
        connections=SETTINGS.download.bucket.connections,
    params:
        url=lambda wildcards: REMOTE[resource(f"files/{wildcards.name}")],
    shell:
        "hindsight download.files --settings {input.settings:q}"
        " --url {params.url:q}"
        " --file {output.file:q}"
        " > {log:q} 2>&1"


if SETTINGS.download.source in ("local", "grib", "radar"):

    rule sources:
        """List the source's files, whose names are too many for a command.

        They are no inputs of rules, because Snakemake would read all small ones for their checksums.
        """
        input:
            settings=DOWNLOAD,
            fetched=list(REMOTE),
        output:
            sources=resource("sources.json"),
        log:
            f"logs/{SETTINGS.run}/download/sources.log",
        benchmark:
            f"logs/{SETTINGS.run}/download/sources.tsv"
        localrule: True
        params:
            data=lambda wildcards: SETTINGS.data,
            files=lambda wildcards: digest(
                settings.sizes_and_times(
                    settings.source_files(SETTINGS.download, SETTINGS.data)
                )
            ),
        shell:
            "hindsight download.sources --settings {input.settings:q}"
            " --data {params.data:q}"
            " --sources {output.sources:q}"
            " > {log:q} 2>&1"


if SETTINGS.download.source == "local":

    rule contents:
        """List the contents of netCDF files and Zarr stores, and refuse files that cannot make the domain."""
        input:
            settings=DOWNLOAD,
            sources=resource("sources.json"),
        output:
            contents=resource("contents.json"),
        log:
            f"logs/{SETTINGS.run}/download/contents.log",
        benchmark:
            f"logs/{SETTINGS.run}/download/contents.tsv"
        resources:
            mem_mb=memory(1500),
            runtime=minutes(120),
        shell:
            "hindsight download.contents --settings {input.settings:q}"
            " --files @{input.sources:q}"
            " --contents {output.contents:q}"
            " > {log:q} 2>&1"

    rule local:
        """Read one part of the frames from netCDF files and Zarr stores."""
        input:
            settings=DOWNLOAD,
            contents=resource("contents.json"),
        output:
            marker=resource("parts/{part}.json"),
        log:
            f"logs/{SETTINGS.run}/download/local-{{part}}.log",
        benchmark:
            f"logs/{SETTINGS.run}/download/local-{{part}}.tsv"
        resources:
            mem_mb=memory(1000 + round(SETTINGS.download.memory_mb)),
            runtime=minutes(120),
        params:
            raw=resource("parts/{part}.zarr"),
        shell:
            "hindsight download.local --settings {input.settings:q}"
            " --part {wildcards.part:q}"
            " --contents {input.contents:q}"
            " --raw {params.raw:q}"
            " --marker {output.marker:q}"
            " > {log:q} 2>&1"


if SETTINGS.download.source == "synthetic":

    rule synthetic:
        """Simulate a built-in world: years of weather from a model's equations."""
        input:
            settings=DOWNLOAD,
        output:
            raw=store(resource("raw.zarr")),
        log:
            f"logs/{SETTINGS.run}/download/synthetic.log",
        benchmark:
            f"logs/{SETTINGS.run}/download/synthetic.tsv"
        resources:
            mem_mb=memory(1500),
            runtime=minutes(240),
        shell:
            "hindsight download.synthetic --settings {input.settings:q}"
            " --raw {output.raw:q}"
            " > {log:q} 2>&1"


if SETTINGS.download.source == "bucket":

    rule bucket:
        """Fetch one part of a Zarr store; a killed job resumes with the chunks that have arrived."""
        input:
            settings=DOWNLOAD,
        output:
            marker=resource("parts/{part}.json"),
        log:
            f"logs/{SETTINGS.run}/download/bucket-{{part}}.log",
        benchmark:
            f"logs/{SETTINGS.run}/download/bucket-{{part}}.tsv"
        resources:
            mem_mb=memory(2500),
            runtime=minutes(240),
            connections=SETTINGS.download.bucket.connections,
        params:
            raw=resource("parts/{part}.zarr"),  # no output of the rule: Snakemake would delete it before a rerun, which can reuse it
        shell:
            "hindsight download.bucket --settings {input.settings:q}"
            " --part {wildcards.part:q}"
            " --raw {params.raw:q}"
            " --marker {output.marker:q}"
            " > {log:q} 2>&1"


if SETTINGS.download.source == "grib":

    rule catalogue:
        """List the messages of all GRIB files, without decoding them."""
        input:
            settings=DOWNLOAD,
            sources=resource("sources.json"),
        output:
            catalogue=resource("catalogue.parquet"),
        log:
            f"logs/{SETTINGS.run}/download/catalogue.log",
        benchmark:
            f"logs/{SETTINGS.run}/download/catalogue.tsv"
        threads: SETTINGS.download.grib.processes
        resources:
            mem_mb=memory(2500),
            runtime=minutes(120),
        shell:
            "hindsight download.catalogue --settings {input.settings:q}"
            " --files @{input.sources:q}"
            " --catalogue {output.catalogue:q}"
            " > {log:q} 2>&1"

    rule grib:
        """Decode one part of the GRIB files' frames."""
        input:
            settings=DOWNLOAD,
            catalogue=resource("catalogue.parquet"),
        output:
            marker=resource("parts/{part}.json"),
        log:
            f"logs/{SETTINGS.run}/download/grib-{{part}}.log",
        benchmark:
            f"logs/{SETTINGS.run}/download/grib-{{part}}.tsv"
        resources:
            mem_mb=memory(2500),
            runtime=minutes(120),
        params:
            raw=resource("parts/{part}.zarr"),
        shell:
            "hindsight download.grib --settings {input.settings:q}"
            " --part {wildcards.part:q}"
            " --catalogue {input.catalogue:q}"
            " --raw {params.raw:q}"
            " --marker {output.marker:q}"
            " > {log:q} 2>&1"


if SETTINGS.download.source == "radar":

    rule composites:
        """List the times of all radar composites, and refuse those of several radars or projections."""
        input:
            settings=DOWNLOAD,
            sources=resource("sources.json"),
        output:
            composites=resource("composites.json"),
        log:
            f"logs/{SETTINGS.run}/download/composites.log",
        benchmark:
            f"logs/{SETTINGS.run}/download/composites.tsv"
        resources:
            mem_mb=memory(1000),
            runtime=minutes(120),
        shell:
            "hindsight download.composites --settings {input.settings:q}"
            " --files @{input.sources:q}"
            " --composites {output.composites:q}"
            " > {log:q} 2>&1"

    rule radar:
        """Read the rain rates of one part of the frames from radar composites."""
        input:
            settings=DOWNLOAD,
            composites=resource("composites.json"),
        output:
            marker=resource("parts/{part}.json"),
        log:
            f"logs/{SETTINGS.run}/download/radar-{{part}}.log",
        benchmark:
            f"logs/{SETTINGS.run}/download/radar-{{part}}.tsv"
        resources:
            mem_mb=memory(1000),
            runtime=minutes(120),
        params:
            raw=resource("parts/{part}.zarr"),
        shell:
            "hindsight download.radar --settings {input.settings:q}"
            " --part {wildcards.part:q}"
            " --composites {input.composites:q}"
            " --raw {params.raw:q}"
            " --marker {output.marker:q}"
            " > {log:q} 2>&1"


rule manifest:
    """Check that the source is complete and plausible: times, missing data, units, ranges, outliers."""
    input:
        settings="results/{run}/settings/manifest.json",
        arrived=source_markers(),
    output:
        manifest="results/{run}/download/manifest.json",
    log:
        "logs/{run}/download/manifest.log",
    benchmark:
        "logs/{run}/download/manifest.tsv"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(60),
    params:
        raw=lambda wildcards: braced(source_stores()),
        markers=lambda wildcards: braced(source_markers()) if PARTS else "",
    shell:
        "hindsight download.manifest --settings {input.settings:q}"
        " --raw {params.raw}"
        " --markers {params.markers}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"
