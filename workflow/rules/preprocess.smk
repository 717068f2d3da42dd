"""Preprocess: convert a source to the pipeline's fields, and compute their climatology and statistics.

in:  resources/{dataset}/raw.zarr or parts/*, results/{run}/download/manifest.json
out: results/{run}/preprocess/pieces/*.zarr, fields.zarr, moments/*.nc, static.nc, climatology.nc, statistics.nc
"""


rule regrid:
    """Convert a piece of the source to canonical channels, units, grid and order."""
    input:
        settings="results/{run}/settings/regrid.json",
        arrived=lambda wildcards: unless_synthetic(
            source_markers(parts_of(wildcards.piece))
        ),
        manifest=ancient("results/{run}/download/manifest.json"),
    output:
        fields=store("results/{run}/preprocess/pieces/{piece}.zarr"),
    log:
        "logs/{run}/preprocess/regrid-{piece}.log",
    benchmark:
        "logs/{run}/preprocess/regrid-{piece}.tsv"
    threads: 2
    resources:
        mem_mb=memory(2500),
        runtime=minutes(60),
    params:
        raw=lambda wildcards: braced(source_stores(parts_of(wildcards.piece))),
        world=lambda wildcards: world_settings(),
    shell:
        "hindsight preprocess.regrid --settings {input.settings:q}"
        " --piece {wildcards.piece:q}"
        " --raw {params.raw}"
        " --manifest {input.manifest:q}"
        f" --scheduler {constant(SETTINGS.preprocess.scheduler)}"
        " --workers {threads}"
        " --fields {output.fields:q}"
        " > {log:q} 2>&1"


rule join:
    """Join the pieces into one store; existing pieces are not rewritten."""
    input:
        settings="results/{run}/settings/join.json",
        pieces=stores(PIECES),
    output:
        fields=store("results/{run}/preprocess/fields.zarr"),
    log:
        "logs/{run}/preprocess/join.log",
    benchmark:
        "logs/{run}/preprocess/join.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(60),
    params:
        pieces=input_list("pieces"),
    shell:
        "hindsight preprocess.join --settings {input.settings:q}"
        " --pieces {params.pieces}"
        " --fields {output.fields:q}"
        " > {log:q} 2>&1"


rule static:
    """Regrid land fraction and orography to the working grid, where they are available."""
    input:
        settings="results/{run}/settings/preprocess.json",
        fields=stores(pieces_of_splits("train"))[0],  # any will do: it is the grid that counts
        arrived=unless_synthetic(source_markers()[:1]),
        manifest=ancient("results/{run}/download/manifest.json"),
        given=settings.static_files(SETTINGS),
    output:
        static="results/{run}/preprocess/static.nc",
    log:
        "logs/{run}/preprocess/static.log",
    benchmark:
        "logs/{run}/preprocess/static.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    params:
        raw=lambda wildcards: source_stores()[0],
        world=lambda wildcards: world_settings(),
    shell:
        "hindsight preprocess.static --settings {input.settings:q}"
        " --fields {input.fields:q}"
        " --raw {params.raw:q}"
        " --given {input.given:q}"
        " --static {output.static:q}"
        " > {log:q} 2>&1"


rule moments:
    """Add up the moments of a piece, from which the climatology and the statistics are computed."""
    input:
        settings="results/{run}/settings/preprocess.json",
        piece=store("results/{run}/preprocess/pieces/{piece}.zarr"),
    output:
        moments="results/{run}/preprocess/moments/{piece}.nc",
    log:
        "logs/{run}/preprocess/moments-{piece}.log",
    benchmark:
        "logs/{run}/preprocess/moments-{piece}.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    shell:
        "hindsight preprocess.moments --settings {input.settings:q}"
        " --piece {input.piece:q}"
        " --moments {output.moments:q}"
        " > {log:q} 2>&1"


rule climatology:
    """Fit the climatology of the training period, as harmonics of the year and of the day."""
    input:
        settings="results/{run}/settings/preprocess.json",
        moments=moments(),
    output:
        climatology="results/{run}/preprocess/climatology.nc",
    log:
        "logs/{run}/preprocess/climatology.log",
    benchmark:
        "logs/{run}/preprocess/climatology.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    params:
        moments=input_list("moments"),
    shell:
        "hindsight preprocess.climatology --settings {input.settings:q}"
        " --moments {params.moments}"
        " --climatology {output.climatology:q}"
        " > {log:q} 2>&1"


rule statistics:
    """Compute standard deviations and spectra of departures from the climatology over the training period."""
    input:
        settings="results/{run}/settings/preprocess.json",
        moments=moments(),
    output:
        statistics="results/{run}/preprocess/statistics.nc",
    log:
        "logs/{run}/preprocess/statistics.log",
    benchmark:
        "logs/{run}/preprocess/statistics.tsv"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    params:
        moments=input_list("moments"),
    shell:
        "hindsight preprocess.statistics --settings {input.settings:q}"
        " --moments {params.moments}"
        " --statistics {output.statistics:q}"
        " > {log:q} 2>&1"
