"""Refuse, before any job, to mix two recipes in one archive."""

from hindsight.archive import recipe


def with_same_recipe(file: str):
    """Input function: a settings file, or an exit if the existing archive has another recipe.

    Snakemake calls it only if the archive is among its targets, so `snakemake train` still works.
    """

    def checked(wildcards):
        if not SETTINGS.archive.replace and (lines := recipe_differences()):
            sys.exit(recipe.refusal(result("archive/reanalysis.zarr"), lines))
        return file

    return checked


def recipe_differences() -> list[str]:
    """Differences between the recipe of the existing archive and that of the settings."""
    requested = recipe.recipe_settings(
        SETTINGS.domain,
        SETTINGS.product,
        SETTINGS.archive,
        SETTINGS.reanalyse,
        SETTINGS.observe,
    )
    try:
        existing = recipe.read(Path(result("archive/reanalysis.zarr")))
    except UserError as error:
        sys.exit(f"{error}")
    return recipe.differences(existing, {"settings": requested}) if existing else []
