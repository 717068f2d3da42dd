"""What an archive is made with, and in what two recipes differ. No xarray, no torch: the Snakefile asks this.

A recipe is a dictionary with `settings`, whatever decides what the values are, and `made_from`, what the analyses say
of themselves. The end of the test period and the number of members belong to it only so far as they may grow.
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
HOW = ("device", "threads", "batch", "retries", "solver_iterations")  # of reanalyse: they do not decide what is made
SAID = ("analysis", "regime", "lag_hours", "guidance", "sampler", "steps", "seed", "prior")  # by every analysis
DIGITS = 12  # of a checksum, for people


def settings_of(domain: Domain, product: Ensemble, archive: Archive, reanalyse: Reanalyse, observe: Observe) -> dict:
    """The settings that decide what the values of an archive are, those of its own network alone."""
    name = archive.network or next(iter(observe.networks))
    encoding = archive.model_dump(include=set(Encoding.model_fields)) | {"network": name}
    network = observe.networks[name].model_dump(mode="json") if name in observe.networks else None
    return {
        "domain": domain.model_dump(mode="json"),
        "product": product.model_dump(mode="json", include=set(Ensemble.model_fields)),
        "archive": encoding,
        "reanalyse": reanalyse.model_dump(mode="json", exclude=set(HOW)),
        "observe": {"seed": observe.seed, "networks": {name: network}},
    }


def digest(recipe: dict) -> str:
    """SHA-256 of a recipe, the same however far its archive has grown."""
    flat = {key: value for key, value in flatten(recipe).items() if not key.endswith(MAY_GROW)}
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()


def flatten(nested: dict, above: str = "") -> dict[str, object]:
    """Leaves of nested dictionaries by their dotted names; an empty dictionary is a leaf."""
    found: dict[str, object] = {}
    for key, value in nested.items():
        name = f"{above}{key}"
        found |= flatten(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return found


def differences(there: dict, asked: dict) -> list[str]:
    """What keeps two recipes from being parts of one archive, a line each; nothing if one can grow into the other.

    Args:
        there: recipe of the archive that is there: `settings`, and `made_from` where it is known.
        asked: recipe of what is asked for; only parts that both have are compared.

    Returns:
        Lines like `reanalyse.steps: 8 there, 10 asked for`.
    """
    settings = _apart(there.get("settings", {}), asked.get("settings", {}))
    said = {}
    if "made_from" in there and "made_from" in asked:
        said = _apart(there["made_from"], asked["made_from"])
    known = {word for name in settings for word in name.split(".")}  # a setting that differs is told once
    return [*settings.values(), *(line for name, line in said.items() if name not in known)]


def _apart(there: dict, asked: dict) -> dict[str, str]:
    """Lines on the leaves that differ, by name."""
    ours, theirs = flatten(there), flatten(asked)
    lines = {}
    for name in sorted({*ours, *theirs}):
        old, new = ours.get(name), theirs.get(name)
        if old != new and not (name in MAY_GROW and _grows(old, new)):
            fewer = ", which would shorten the archive" if name in MAY_GROW else ""
            lines[name] = f"{name}: {_short(old)} there, {_short(new)} asked for{fewer}"
    return lines


def _grows(old: object, new: object) -> bool:
    return old is not None and new is not None and new >= old  # ISO dates order as text


def _short(value: object) -> str:
    """A value for people: a checksum by its first digits."""
    if isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef"):
        return f"{value[:DIGITS]}…"
    return "nothing" if value is None else str(value)


def attributes_of(archive: Path) -> dict | None:
    """Global attributes of an archive, from the first of its groups that can be read; nothing if there is no archive.

    Raises:
        UserError: if there is a store, and it does not say how it was made.
    """
    paths = [Path(archive) / group / "zarr.json" for group in ("", "mean", "spread")]
    for path in paths:
        try:
            found = json.loads(path.read_text())["attributes"]
            json.loads(found["recipe"])["settings"]
            return found
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the groups repeat it, so that a damaged one can be mended
    if any(path.is_file() for path in paths):
        raise UserError(
            f"{archive} does not say how it was made (an older hindsight wrote it, or another program), so nothing can "
            f"be added to it; {remedies()}"
        )
    return None


def of_archive(archive: Path) -> dict | None:
    """The recipe that an archive carries in its attributes; nothing if there is no archive.

    Raises:
        UserError: if there is a store, and it does not say how it was made.
    """
    found = attributes_of(archive)
    return json.loads(found["recipe"]) if found else None


def refusal(archive: Path | str, lines: list[str]) -> str:
    """The sentence that refuses to mix two recipes, with every difference."""
    listed = "\n  ".join(lines)
    return f"{archive} was made with another recipe, and two are never mixed:\n  {listed}\n{remedies()}"


def remedies() -> str:
    """What to do about an archive of another recipe."""
    return (
        "name another run with `run:`, move the folder away, or have it replaced: set archive.replace: true, or add "
        "--config archive='{replace: true}'"
    )
