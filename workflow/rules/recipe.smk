"""Two recipes are never mixed in an archive: refused here, before any job."""

from hindsight.archive import recipe


def unmixed(file: str):
    """A file of settings, once it is known that the archive that is there was made with the same: or no job starts.

    Snakemake asks for it when the archive is among what it is to make, so `snakemake train` is not held up.
    """

    def checked(wildcards):
        if not SETTINGS.archive.replace and (lines := mixed()):
            sys.exit(recipe.refusal(result("archive/reanalysis.zarr"), lines))
        return file

    return checked


def mixed() -> list[str]:
    """What keeps the archive that is there and what is asked for from being one."""
    asked = recipe.recipe_settings(
        SETTINGS.domain,
        SETTINGS.product,
        SETTINGS.archive,
        SETTINGS.reanalyse,
        SETTINGS.observe,
    )
    try:
        there = recipe.read(Path(result("archive/reanalysis.zarr")))
    except UserError as error:
        sys.exit(f"{error}")
    return recipe.differences(there, {"settings": asked}) if there else []
