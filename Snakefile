"""Entry point: settings, then the stages in the order of the data flow."""

import sys
from pathlib import Path

from snakemake.utils import min_version

from hindsight import settings
from hindsight.errors import UserError

min_version("9.27")


if not workflow.config_settings.configfiles:
    if not Path("config/config.yaml").is_file():
        sys.exit(
            "no configuration: there is no config/config.yaml here; add --configfile config/europe.yaml, or another"
        )

    configfile: "config/config.yaml"


try:
    SETTINGS = settings.read(config)
    settings.check_files(SETTINGS)
    SETTINGS = settings.with_all_denials(SETTINGS)
except UserError as error:
    sys.exit(f"{error}")


wildcard_constraints:
    run=SETTINGS.run,
    network="[a-z][a-z0-9_]*",
    reports="[a-z][a-z0-9_]*",
    interval="[0-9]+T[0-9]+_[0-9]+",
    method="[a-z][a-z0-9_]*",
    shard="[0-9T]+",
    part="[0-9]+T[0-9]+_[0-9]+",
    piece="[0-9]+T[0-9]+_[0-9]+",
    name="[^/]+",
    block="[0-9]+",


include: "workflow/rules/common.smk"
include: "workflow/rules/commands.smk"
include: "workflow/rules/triggers.smk"
include: "workflow/rules/running.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/recipe.smk"
include: "workflow/rules/settings.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/preprocess.smk"
include: "workflow/rules/observe.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/reanalyse.smk"
include: "workflow/rules/baselines.smk"
include: "workflow/rules/verify.smk"
include: "workflow/rules/archive.smk"


rule all:
    """The checked archive and the report."""
    default_target: True
    input:
        ARCHIVE_TARGETS,
        result("verify/report.html"),
        result("verify/departures.csv"),


# The name of a stage is a target: `snakemake train` makes the output of that stage and everything it needs.


rule download:
    """The complete source."""
    input:
        result("download/manifest.json"),
    localrule: True


rule preprocess:
    """Fields, climatology and statistics."""
    input:
        store(result("preprocess/fields.zarr")),
        result("preprocess/static.nc"),
        result("preprocess/climatology.nc"),
        result("preprocess/statistics.nc"),
    localrule: True


rule observe:
    """The observations of all networks."""
    input:
        every("observe/{network}/{shard}.parquet"),
        every("observe/{network}.usage.csv"),
        DENIALS,
    localrule: True


rule train:
    """The prior, audited."""
    input:
        result("train/prior.safetensors"),
        result("train/audit.json"),
    localrule: True


rule plans:
    """Forecasts of the cost of all networks, without starting their jobs."""
    input:
        every("reanalyse/{network}/plan.json"),
    localrule: True


rule reanalyse:
    """The analyses of all networks."""
    input:
        every("reanalyse/{network}/diffusion/{shard}-{block}.nc"),
    localrule: True


rule baselines:
    """The baselines of all networks."""
    input:
        every("baselines/{network}/{method}/{shard}-0.nc"),
    localrule: True


rule verify:
    """The report, and the summary of departures from observations."""
    input:
        result("verify/report.html"),
        result("verify/departures.csv"),
    localrule: True


rule archive:
    """The archive, checked, described and copied as the settings say."""
    input:
        ARCHIVE_TARGETS,
    localrule: True
