"""Archive: make the layout, write it shard by shard, check, describe and copy it.

The store is not an output of any rule, because parallel jobs write to it; the markers beside it are outputs (see
docs/decisions/0002). A longer period or a larger ensemble changes settings and layout, but not existing shards:
`write` depends on its analyses and on the settings that determine the bytes (`encoding`).

in:  results/{run}/reanalyse/{network}/diffusion/*, verify/feedback/{network}/diffusion/*, preprocess/fields.zarr,
     static.nc
out: results/{run}/archive/reanalysis.zarr, layout.json, shards/{shard}.json, check.json, provenance.csv, README.md,
     stac.json, explore.html, feedback/{shard}.parquet, observations.json, revisions.json, revisions/{shard}.json,
     break_points.json; netcdf.json and netcdf/*.nc, copy.json if the settings ask for them
"""

ARCHIVE = result("archive/reanalysis.zarr")
ARCHIVED = f"results/{{run}}/reanalyse/{SETTINGS.archived_network}/diffusion"
ARCHIVE_TARGETS = [
    result("archive/check.json"),
    result("archive/README.md"),
    result("archive/stac.json"),
    result("archive/explore.html"),
    *([result("archive/netcdf.json")] if SETTINGS.archive.netcdf != "none" else []),
    *([result("archive/copy.json")] if SETTINGS.archive.copy_to.url else []),
]


rule layout:
    """Make or extend the archive's layout: dimensions, attributes and encodings of every array, before any data."""
    input:
        settings=with_same_recipe("results/{run}/settings/archive.json"),
        first_shard=expand(
            f"{ARCHIVED}/{{shard}}-{{block}}.nc",
            shard=SHARDS[:1],
            block=BLOCKS,
            allow_missing=True,
        ),
        fields=store("results/{run}/preprocess/fields.zarr"),
    output:
        marker="results/{run}/archive/layout.json",
    log:
        "logs/{run}/archive/layout.log",
    benchmark:
        "logs/{run}/archive/layout.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    params:
        archive=ARCHIVE,
    shell:
        "hindsight archive.layout --settings {input.settings:q}"
        " --first_shard {input.first_shard:q}"
        " --fields {input.fields:q}"
        " --archive {params.archive:q}"
        " --marker {output.marker:q}"
        " > {log:q} 2>&1"


rule write:
    """Write one shard of the archive: members, mean and spread, its marker and, if its values changed, the reason."""
    input:
        settings=ancient("results/{run}/settings/archive.json"),
        layout=ancient("results/{run}/archive/layout.json"),
        analyses=expand(
            f"{ARCHIVED}/{{{{shard}}}}-{{block}}.nc", block=BLOCKS, allow_missing=True
        ),
    output:
        marker="results/{run}/archive/shards/{shard}.json",
    log:
        "logs/{run}/archive/write-{shard}.log",
    benchmark:
        "logs/{run}/archive/write-{shard}.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(60),
    params:
        archive=ARCHIVE,
        encoding=[
            SETTINGS.archive.chunk_frames,
            SETTINGS.archive.chunk_points,
            SETTINGS.archive.spread_share,
        ],
    shell:
        "hindsight archive.write --settings {input.settings:q}"
        " --layout {input.layout:q}"
        " --analyses {input.analyses:q}"
        " --archive {params.archive:q}"
        " --marker {output.marker:q}"
        " > {log:q} 2>&1"


rule check:
    """Check the archive: checksums, time axis, units, NaN, ranges, suspect values; write its provenance table."""
    input:
        settings="results/{run}/settings/archive.json",
        layout="results/{run}/archive/layout.json",
        markers=expand("results/{{run}}/archive/shards/{shard}.json", shard=SHARDS),
    output:
        provenance="results/{run}/archive/provenance.csv",
        result="results/{run}/archive/check.json",
    log:
        "logs/{run}/archive/check.log",
    benchmark:
        "logs/{run}/archive/check.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(120),
    params:
        archive=ARCHIVE,
        markers=input_list("markers"),
    shell:
        "hindsight archive.check --settings {input.settings:q}"
        " --layout {input.layout:q}"
        " --markers {params.markers}"
        " --archive {params.archive:q}"
        " --provenance {output.provenance:q}"
        " --result {output.result:q}"
        " > {log:q} 2>&1"


rule observations:
    """Copy the feedback of the archived network into the archive, and list its tables."""
    input:
        settings=ancient("results/{run}/settings/archive.json"),
        feedback=expand(
            f"results/{{run}}/verify/feedback/{SETTINGS.archived_network}/diffusion/{{shard}}.parquet",
            shard=SHARDS,
            allow_missing=True,
        ),
    output:
        marker="results/{run}/archive/observations.json",
    log:
        "logs/{run}/archive/observations.log",
    benchmark:
        "logs/{run}/archive/observations.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    params:
        folder=result("archive/feedback"),
        feedback=input_list("feedback"),
    shell:
        "hindsight archive.observations --settings {input.settings:q}"
        " --feedback {params.feedback}"
        " --folder {params.folder:q}"
        " --marker {output.marker:q}"
        " > {log:q} 2>&1"


rule break_points:
    """List the break points of the archive, and compare its changes at seams with those inside shards."""
    input:
        settings="results/{run}/settings/archive.json",
        markers=expand("results/{{run}}/archive/shards/{shard}.json", shard=SHARDS),
        check="results/{run}/archive/check.json",  # a damaged archive is not searched
        tables="results/{run}/archive/observations.json",
    output:
        result="results/{run}/archive/break_points.json",
    log:
        "logs/{run}/archive/break_points.log",
    benchmark:
        "logs/{run}/archive/break_points.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(60),
    params:
        archive=ARCHIVE,
        markers=input_list("markers"),
        revisions=result("archive/revisions"),
    shell:
        "hindsight archive.break_points --settings {input.settings:q}"
        " --markers {params.markers}"
        " --tables {input.tables:q}"
        " --revisions {params.revisions:q}"
        " --archive {params.archive:q}"
        " --result {output.result:q}"
        " > {log:q} 2>&1"


rule publish:
    """Describe the archive: a landing page, a STAC collection and a register of known issues and revisions."""
    input:
        settings="results/{run}/settings/archive.json",
        layout="results/{run}/archive/layout.json",
        check="results/{run}/archive/check.json",
        breaks="results/{run}/archive/break_points.json",
        tables="results/{run}/archive/observations.json",
    output:
        page="results/{run}/archive/README.md",
        catalogue="results/{run}/archive/stac.json",
        register="results/{run}/archive/revisions.json",
    log:
        "logs/{run}/archive/publish.log",
    benchmark:
        "logs/{run}/archive/publish.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    params:
        revisions=result("archive/revisions"),
    shell:
        "hindsight archive.publish --settings {input.settings:q}"
        " --layout {input.layout:q}"
        " --check {input.check:q}"
        " --breaks {input.breaks:q}"
        " --tables {input.tables:q}"
        " --revisions {params.revisions:q}"
        " --register {output.register:q}"
        " --page {output.page:q}"
        " --catalogue {output.catalogue:q}"
        " > {log:q} 2>&1"


rule explore:
    """Make a page that shows the archive in a browser."""
    input:
        settings="results/{run}/settings/explore.json",
        layout="results/{run}/archive/layout.json",
        check="results/{run}/archive/check.json",  # a damaged archive is not shown
        tables="results/{run}/archive/observations.json",
        fields=store("results/{run}/preprocess/fields.zarr"),
        static="results/{run}/preprocess/static.nc",
        coast=settings.coastline_files(SETTINGS),
    output:
        page="results/{run}/archive/explore.html",
    log:
        "logs/{run}/archive/explore.log",
    benchmark:
        "logs/{run}/archive/explore.tsv"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(60),
    params:
        archive=ARCHIVE,
    shell:
        "hindsight archive.explore --settings {input.settings:q}"
        " --layout {input.layout:q}"
        " --tables {input.tables:q}"
        " --archive {params.archive:q}"
        " --fields {input.fields:q}"
        " --static {input.static:q}"
        " --coast {input.coast:q}"
        " --page {output.page:q}"
        " > {log:q} 2>&1"


rule netcdf:
    """Copy the archive to netCDF, one file per calendar year and group."""
    input:
        settings="results/{run}/settings/archive.json",
        layout="results/{run}/archive/layout.json",
        markers=expand("results/{{run}}/archive/shards/{shard}.json", shard=SHARDS),
        check="results/{run}/archive/check.json",  # a damaged archive is not copied
    output:
        marker="results/{run}/archive/netcdf.json",
    log:
        "logs/{run}/archive/netcdf.log",
    benchmark:
        "logs/{run}/archive/netcdf.tsv"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(120),
    params:
        archive=ARCHIVE,
        markers=input_list("markers"),
        folder=result("archive/netcdf"),
    shell:
        "hindsight archive.netcdf --settings {input.settings:q}"
        " --layout {input.layout:q}"
        " --markers {params.markers}"
        " --archive {params.archive:q}"
        " --folder {params.folder:q}"
        " --marker {output.marker:q}"
        " > {log:q} 2>&1"


rule copy:
    """Copy the archive to another destination: only what is missing there, metadata last."""
    input:
        settings="results/{run}/settings/archive.json",
        layout="results/{run}/archive/layout.json",
        markers=expand("results/{{run}}/archive/shards/{shard}.json", shard=SHARDS),
        tables="results/{run}/archive/observations.json",
        documents=[
            result("archive/check.json"),
            result("archive/provenance.csv"),
            result("archive/README.md"),
            result("archive/stac.json"),
            result("archive/explore.html"),
            result("archive/revisions.json"),
            result("archive/break_points.json"),
        ],
    output:
        marker="results/{run}/archive/copy.json",
    log:
        "logs/{run}/archive/copy.log",
    benchmark:
        "logs/{run}/archive/copy.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(240),
    params:
        archive=ARCHIVE,
        markers=input_list("markers"),
    shell:
        "hindsight archive.copy --settings {input.settings:q}"
        " --layout {input.layout:q}"
        " --markers {params.markers}"
        " --tables {input.tables:q}"
        " --documents {input.documents:q}"
        " --archive {params.archive:q}"
        " --marker {output.marker:q}"
        " > {log:q} 2>&1"
