"""The recipe of an archive, and how two recipes differ. No xarray, no torch: the Snakefile imports this.

A recipe is a dictionary of `settings`, those that determine the values, and `made_from`, the attributes of the
analyses. The end of the test period and the number of members are part of it, but may grow.
"""

import hashlib
import json
from pathlib import Path

from hindsight.errors import UserError
from hindsight.settings.archive import Archive, Encoding
from hindsight.settings.domain import Domain
from hindsight.settings.observe import Observe
from hindsight.settings.product import Ensemble
from hindsight.settings.reanalyse import Reanalyse

MAY_GROW = ("domain.test.end", "product.members")
EXECUTION = (
    "device",
    "threads",
    "batch",
    "retries",
    "solver_iterations",
)  # at most the last digits depend on them, if `precision: auto` means the same on all machines
ACCESS = ("url", "options", "retries", "timeout_seconds")  # how reports are fetched
PROPOSALS = ("interval_frames", "drift_errors", "dead_days")  # of quality control: no observation depends on them
NO_DENIALS = {"denied": [], "denied_file": None}
FOLDS = ("folds", "fold")  # of cross-validation, which makes networks of its own
ATTRIBUTES = ("analysis", "regime", "lag_hours", "guidance", "sampler", "steps", "seed", "prior")  # of every analysis
ATTRIBUTES += ("controller", "steering")  # of those that have them
DIGITS = 12  # of a checksum, in messages


def recipe_settings(
    domain: Domain, product: Ensemble, archive: Archive, reanalyse: Reanalyse, observe: Observe
) -> dict:
    """The settings that determine the values of an archive; of the networks, only the archived one.

    Denials are corrections: they change the shards that they concern, which `revisions` records, and not the recipe.
    """
    name = archive.network or next(iter(observe.networks))
    encoding = archive.model_dump(include=set(Encoding.model_fields)) | {"network": name}
    spec = observe.networks.get(name)
    network = None if spec is None else spec.model_dump(mode="json", exclude=set(FOLDS)) | NO_DENIALS
    return {
        "domain": domain.model_dump(mode="json"),
        "product": product.model_dump(mode="json", include=set(Ensemble.model_fields)),
        "archive": encoding,
        "reanalyse": reanalyse.model_dump(mode="json", exclude=set(EXECUTION)),
        "observe": {"seed": observe.seed, "networks": {name: network}} | _reports(observe, name),
    }


def _reports(observe: Observe, name: str) -> dict[str, object]:
    """The settings of real reports that determine a network's observations; none if the network is simulated."""
    if name in observe.simulated or name not in observe.networks:
        return {}
    chosen = observe.networks[name].reports or list(observe.reports)
    return {
        "reports": {one: observe.reports[one].model_dump(mode="json", exclude=set(ACCESS)) for one in chosen},
        "measurements": {str(n): one.model_dump(mode="json") for n, one in enumerate(observe.measurements)},
        "quality": observe.quality.model_dump(mode="json", exclude=set(PROPOSALS)),
    }


def digest(recipe: dict) -> str:
    """SHA-256 of a recipe without the settings that may grow."""
    flat = {key: value for key, value in flatten(recipe).items() if not key.endswith(MAY_GROW)}
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()


def flatten(nested: dict, above: str = "") -> dict[str, object]:
    """The leaves of nested dictionaries by dotted name; an empty dictionary is a leaf."""
    found: dict[str, object] = {}
    for key, value in nested.items():
        name = f"{above}{key}"
        found |= flatten(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return found


def differences(existing: dict, requested: dict) -> list[str]:
    """Describe how two recipes differ, a line for each difference; empty if the archive can grow into the request.

    Args:
        existing: recipe of the existing archive: `settings`, and `made_from` where it is known.
        requested: recipe of this run; only parts that both have are compared.

    Returns:
        Lines like `reanalyse.steps: 8 in the archive, 10 now`.
    """
    settings = _differences(existing.get("settings", {}), requested.get("settings", {}))
    attributes = {}
    if "made_from" in existing and "made_from" in requested:
        attributes = _differences(existing["made_from"], requested["made_from"])
    reported = {word for name in settings for word in name.split(".")}  # report a differing setting only once
    return [*settings.values(), *(line for name, line in attributes.items() if name not in reported)]


def _differences(existing: dict, requested: dict) -> dict[str, str]:
    """A line for every leaf that differs, by its name."""
    ours, theirs = flatten(existing), flatten(requested)
    lines = {}
    for name in sorted({*ours, *theirs}):
        old, new = ours.get(name), theirs.get(name)
        if old != new and not (name in MAY_GROW and _grows(old, new)):
            fewer = ", which would shorten the archive" if name in MAY_GROW else ""
            lines[name] = f"{name}: {_short(old)} in the archive, {_short(new)} now{fewer}"
    return lines


def _grows(old: object, new: object) -> bool:
    return old is not None and new is not None and new >= old  # ISO dates order as text


def _short(value: object) -> str:
    """A value for a message; of a checksum, the first digits."""
    if isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef"):
        return f"{value[:DIGITS]}…"
    return "nothing" if value is None else str(value)


def read_attributes(archive: Path) -> dict | None:
    """Global attributes of an archive, from the first group that can be read; None if there is no archive.

    Raises:
        UserError: if the store has no recipe.
    """
    paths = [Path(archive) / group / "zarr.json" for group in ("", "mean", "spread")]
    for path in paths:
        try:
            found = json.loads(path.read_text())["attributes"]
            json.loads(found["recipe"])["settings"]
            return found
        except (OSError, ValueError, KeyError, TypeError):
            continue  # every group has a copy, so that a damaged one can be repaired
    if any(path.is_file() for path in paths):
        raise UserError(
            f"{archive} has no recipe (another program or an older version of hindsight wrote it), so nothing can "
            f"be added to it; {remedies()}"
        )
    return None


def read(archive: Path) -> dict | None:
    """The recipe in the attributes of an archive; None if there is no archive.

    Raises:
        UserError: if the store has no recipe.
    """
    found = read_attributes(archive)
    return json.loads(found["recipe"]) if found else None


def refusal(archive: Path | str, lines: list[str]) -> str:
    """The error message about two different recipes, with every difference."""
    listed = "\n  ".join(lines)
    return f"{archive} was made with another recipe, and recipes are never mixed:\n  {listed}\n{remedies()}"


def remedies() -> str:
    """What the user can do about an archive with another recipe."""
    return (
        "name another run with `run:`, move the folder away, or replace it: set archive.replace: true, or add "
        "--config archive='{replace: true}'"
    )
