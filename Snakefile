"""Entry point: the settings, then the stages in the order the data flows."""

import sys
from pathlib import Path

from snakemake.utils import min_version

from hindsight import settings
from hindsight.errors import UserError

min_version("9.0")


if not workflow.config_settings.configfiles:
    if not Path("config/config.yaml").is_file():
        sys.exit(
            "no configuration: there is no config/config.yaml here; add --configfile config/europe.yaml, or another"
        )

    configfile: "config/config.yaml"


try:
    SETTINGS = settings.read(config)
    settings.check_files(SETTINGS)
except UserError as error:
    sys.exit(f"{error}")


wildcard_constraints:
    run=SETTINGS.run,
    network="[a-z][a-z0-9_]*",
    method="[a-z][a-z0-9_]*",
    shard="[0-9T]+",
    part="[0-9]+T[0-9]+_[0-9]+",
    piece="[0-9]+T[0-9]+_[0-9]+",
    name="[^/]+",
    block="[0-9]+",


include: "workflow/rules/common.smk"
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
    """The archive, checked, and the report."""
    default_target: True
    input:
        result("archive/check.json"),
        result("verify/report.html"),
