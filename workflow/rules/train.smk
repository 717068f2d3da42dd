"""Train: the closed-form start, then the prior.

in:  results/{run}/preprocess/*
out: results/{run}/train/colour.safetensors, prior.safetensors, curve.csv, curve.png; tensorboard/ beside them
"""

COLOUR = SETTINGS.train.colour
MATRICES = (
    COLOUR.basis == "empirical" and COLOUR.form != "white"
)  # of all values of a frame


rule colour:
    """Fit the closed-form start: modes of the training period and a linear inverse model of their evolution."""
    input:
        settings="results/{run}/settings/train.json",
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        learnt=stores(learnt("train", "validation")),  # a year more of what is not learnt from changes nothing
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
    output:
        colour="results/{run}/train/colour.safetensors",
    log:
        "logs/{run}/train/colour.log",
    benchmark:
        "logs/{run}/train/colour.tsv"
    threads: SETTINGS.train.threads
    resources:
        mem_mb=squared(2500, 56, when=MATRICES),
        runtime=minutes(120),
    shell:
        "hindsight train.colour --settings {input.settings:q}"
        " --fields {input.fields:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --colour {output.colour:q}"
        " > {log:q} 2>&1"


rule prior:
    """Train the prior by diffusion forcing; a killed job resumes from its checkpoint."""
    input:
        settings="results/{run}/settings/train.json",
        fields=ancient(store("results/{run}/preprocess/fields.zarr")),
        learnt=stores(learnt("train", "validation")),  # a year more of what is not learnt from changes nothing
        climatology="results/{run}/preprocess/climatology.nc",
        statistics="results/{run}/preprocess/statistics.nc",
        static="results/{run}/preprocess/static.nc",
        colour="results/{run}/train/colour.safetensors",
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
        together=together(SETTINGS.train),
        checkpoint=result("train/checkpoint.safetensors"),  # outlives a killed job, so it is nobody's output
        tensorboard=result("train/tensorboard"),  # the same
    shell:
        "{params.together}"
        "hindsight train.prior --settings {input.settings:q}"
        " --fields {input.fields:q}"
        " --climatology {input.climatology:q}"
        " --statistics {input.statistics:q}"
        " --static {input.static:q}"
        " --colour {input.colour:q}"
        " --checkpoint {params.checkpoint:q}"
        " --prior {output.prior:q}"
        " --tensorboard {params.tensorboard:q}"
        " --curve {output.curve:q}"
        " --figure {output.figure:q}"
        " 2>&1 | (trap '' TERM; exec tee {log:q})"
