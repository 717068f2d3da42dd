"""Train: the linear prior, then the prior, then its audit; with guidance `controlled` also
its controller.

in:  results/{run}/preprocess/*
out: results/{run}/train/linear_prior.safetensors, prior.safetensors, curve.csv, curve.png, audit.json, audit.png;
     controller.safetensors, controller_curve.csv; tensorboard/
"""

LINEAR_PRIOR = SETTINGS.train.linear_prior
# whether the fit holds covariances between all values of a frame
FULL_COVARIANCE = LINEAR_PRIOR.basis == "empirical" and LINEAR_PRIOR.form != "white"


rule linear_prior:
    """Fit the linear prior: modes of the training period and a linear inverse model of their evolution."""
    input:
        settings="results/{run}/settings/train.json",
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        training_pieces=stores(pieces_of_splits("train", "validation")),  # other years do not trigger a rerun
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
    output:
        linear_prior="results/{run}/train/linear_prior.safetensors",
    log:
        "logs/{run}/train/linear_prior.log",
    benchmark:
        "logs/{run}/train/linear_prior.tsv"
    threads: SETTINGS.train.threads
    resources:
        mem_mb=functions_memory(
            2500,
            48 + 16 * LINEAR_PRIOR.parts,
            LINEAR_PRIOR,
            matrix_memory(2500, 64 + 8 * LINEAR_PRIOR.parts, when=FULL_COVARIANCE),
        ),
        runtime=minutes(120),
    shell:
        "hindsight train.linear_prior --settings {input.settings:q}"
        " --fields {input.fields:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --linear_prior {output.linear_prior:q}"
        " > {log:q} 2>&1"


rule prior:
    """Train the prior by diffusion forcing; a killed job resumes from its checkpoint."""
    input:
        settings="results/{run}/settings/train.json",
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        training_pieces=stores(pieces_of_splits("train", "validation")),  # other years do not trigger a rerun
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
        static="results/{run}/preprocess/static.nc",
        linear_prior="results/{run}/train/linear_prior.safetensors",
    output:
        prior="results/{run}/train/prior.safetensors",
        curve="results/{run}/train/curve.csv",
        figure="results/{run}/train/curve.png",
    log:
        "logs/{run}/train/prior.log",
    benchmark:
        "logs/{run}/train/prior.tsv"
    threads: SETTINGS.train.threads * SETTINGS.train.processes
    resources:
        **nodes(SETTINGS.train),
        mem_mb=memory(3000 * SETTINGS.train.processes // SETTINGS.train.nodes),
        runtime=minutes(480),
    params:
        launcher=launcher(SETTINGS.train),
        checkpoint=result("train/checkpoint.safetensors"),  # not an output: Snakemake would delete it after a kill
        tensorboard=result("train/tensorboard"),  # likewise
    shell:
        "{params.launcher}"
        "hindsight train.prior --settings {input.settings:q}"
        " --fields {input.fields:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --static {input.static:q}"
        " --linear_prior {input.linear_prior:q}"
        " --checkpoint {params.checkpoint:q}"
        " --prior {output.prior:q}"
        " --tensorboard {params.tensorboard:q}"
        " --curve {output.curve:q}"
        " --figure {output.figure:q}"
        " 2>&1 | (trap '' TERM; exec tee {log:q})"


rule audit:
    """Audit the prior for memorisation: compare training frames with held-out ones; stop above a limit."""
    input:
        settings="results/{run}/settings/audit.json",
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        training_pieces=stores(pieces_of_splits("train", "validation")),  # other years do not trigger a rerun
        prior="results/{run}/train/prior.safetensors",
    output:
        audit="results/{run}/train/audit.json",
        figure="results/{run}/train/audit.png",
        steering="results/{run}/train/steering.safetensors",
    log:
        "logs/{run}/train/audit.log",
    benchmark:
        "logs/{run}/train/audit.tsv"
    threads: SETTINGS.train.threads
    resources:
        mem_mb=memory(3000),
        runtime=minutes(60),
    shell:
        "hindsight train.audit --settings {input.settings:q}"
        " --prior {input.prior:q}"
        " --fields {input.fields:q}"
        " --audit {output.audit:q}"
        " --figure {output.figure:q}"
        " --steering {output.steering:q}"
        " > {log:q} 2>&1"


rule controller:
    """Train a controller of the prior's roll-outs; a killed job resumes from its checkpoint."""
    input:
        settings="results/{run}/settings/controller.json",
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        training_pieces=stores(pieces_of_splits("train", "validation")),  # other years do not trigger a rerun
        prior="results/{run}/train/prior.safetensors",
    output:
        controller="results/{run}/train/controller.safetensors",
        curve="results/{run}/train/controller_curve.csv",
    log:
        "logs/{run}/train/controller.log",
    benchmark:
        "logs/{run}/train/controller.tsv"
    threads: SETTINGS.controller.threads * SETTINGS.controller.processes
    resources:
        mem_mb=memory(3000 * SETTINGS.controller.processes),
        runtime=minutes(480),
    params:
        launcher=launcher(SETTINGS.controller),
        checkpoint=result("train/controller_checkpoint.safetensors"),  # not an output: Snakemake would delete it after a kill
    shell:
        "{params.launcher}"
        "hindsight train.controller --settings {input.settings:q}"
        " --fields {input.fields:q}"
        " --prior {input.prior:q}"
        " --checkpoint {params.checkpoint:q}"
        " --controller {output.controller:q}"
        " --curve {output.curve:q}"
        " 2>&1 | (trap '' TERM; exec tee {log:q})"
