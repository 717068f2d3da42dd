"""Write the landing page, the catalogue entry and the register of the archive, from its metadata alone.

STAC 1.1 (https://github.com/radiantearth/stac-spec) with the datacube extension 2.2.
"""

import json
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from hindsight.archive import objects
from hindsight.archive.revisions import register as register_of
from hindsight.settings import Archive
from hindsight.settings.hours import in_full
from hindsight.settings.lexicon import CHANNELS

CUBE = "https://stac-extensions.github.io/datacube/v2.2.0/schema.json"
STORE = "reanalysis.zarr"
LISTED = 20  # break points on the landing page; `break_points.json` has all
LIMITS = ("ratio", "lower", "upper")
ASSETS = {  # files beside the catalogue entry: title, media type, role
    STORE: ("members, with groups mean and spread", "application/vnd.zarr; version=3", "data"),
    "README.md": ("landing page", "text/markdown", "metadata"),
    "explore.html": ("maps, series and observations, to look at in a browser", "text/html", "overview"),
    "provenance.csv": ("provenance of every shard and block of members", "text/csv", "metadata"),
    "revisions.json": (
        "known issues; shards that were made again: when, why, checksums",
        "application/json",
        "metadata",
    ),
    "break_points.json": ("seams, changes of network or prior, and what they do", "application/json", "metadata"),
    "check.json": ("result of the archive's check, and rounding errors", "application/json", "metadata"),
    "layout.json": ("recipe, attributes and checksums of the metadata", "application/json", "metadata"),
}


def run(
    settings: Archive,
    *,
    layout: Path,
    check: Path,
    breaks: Path,
    tables: list[Path],
    revisions: Path,
    register: Path,
    page: Path,
    catalogue: Path,
) -> None:
    """Describe the archive: a landing page, a STAC collection and a register of known issues and revisions."""
    revised = register_of(revisions)
    issues = [one.model_dump(mode="json") for one in settings.known_issues]
    objects.put_json(register, {"known_issues": issues, "revisions": revised})
    layout_json, checked = json.loads(layout.read_text()), json.loads(check.read_text())
    feedback = [json.loads(path.read_text()) for path in tables]
    environment = Environment(
        loader=PackageLoader("hindsight.archive", "."), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    values = page_values(layout_json, checked) | break_values(json.loads(breaks.read_text()))
    text = environment.get_template("README.md.jinja").render(
        values | {"settings": settings, "feedback": feedback, "revisions": revised, "issues": issues}
    )
    objects.put(page, text.encode())
    objects.put_json(catalogue, collection(layout_json, checked, feedback))


def page_values(layout: dict, checked: dict) -> dict[str, object]:
    """Values for the template of the landing page.

    Args:
        layout: content of `layout.json`.
        checked: content of `check.json`.
    """
    attributes, settings = layout["attributes"], layout["settings"]
    rows = [_row(name, layout, checked) for name in settings["domain"]["channels"]]
    return {
        "attributes": attributes,
        "rows": rows,
        "first": settings["domain"]["channels"][0],
        "gigabytes": f"{checked['bytes'] / 1e9:.3g}",
        "checked": checked,
        "made_from": layout["made_from"],
        "settings_used": settings,
        "step": in_full(settings["domain"]["step_hours"]),
        "citation": citation(attributes),
    }


def break_values(breaks: dict) -> dict[str, object]:
    """Values for the landing page: break points that are not seams, and the table of changes at seams.

    Args:
        breaks: content of `break_points.json`.
    """
    points = breaks["break_points"]
    other = [one for one in points if one["kind"] != "seam"]
    rows = [
        row | {name: f"{row[name]:.2f}" for name in LIMITS} for row in breaks["changes"] if row["ratio"] is not None
    ]
    return {
        "breaks": other[:LISTED],
        "more_breaks": max(len(other) - LISTED, 0),
        "seam_count": len(points) - len(other),
        "changes": rows,
        "confidence": f"{100 * breaks['confidence']:g} %",
    }


def _row(name: str, layout: dict, checked: dict) -> dict[str, object]:
    channel, error = CHANNELS[name], checked["rounding_error"][name]
    errors = {key: f"{100 * error[key]:.2g} %" for key in ("rms", "worst")}
    row = {"name": name, "long_name": channel.long_name, "units": channel.units}
    return row | {"standard_name": channel.standard_name or "–", "kept": layout["bits"][name], **errors}


def citation(attributes: dict) -> str:
    """How to cite the archive: creator if known, year, title, and identifier."""
    who = attributes.get("creator_name") or attributes.get("institution") or attributes.get("publisher_name")
    year = attributes["date_modified"][:4]
    parts = [f"{who} ({year})", attributes["title"]] if who else [f"{attributes['title']} ({year})"]
    if attributes.get("product_version"):
        parts.append(f"version {attributes['product_version']}")
    if attributes.get("publisher_name"):
        parts.append(attributes["publisher_name"])
    return ". ".join([*parts, attributes["id"]]) + "."


def collection(layout: dict, checked: dict, feedback: list[dict]) -> dict[str, object]:
    """The catalogue entry: a STAC collection with the datacube extension.

    Args:
        layout: content of `layout.json`.
        checked: content of `check.json`.
        feedback: content of `observations.json`, if there is one.
    """
    attributes = layout["attributes"]
    start, end = attributes["time_coverage_start"], attributes["time_coverage_end"]
    extent = {"spatial": {"bbox": [bounding_box(attributes)]}, "temporal": {"interval": [[start, end]]}}
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": [CUBE],
        "id": attributes["id"],
        "title": attributes["title"],
        "description": attributes["summary"],
        "license": _licence(attributes.get("license", "")),
        "keywords": attributes["keywords"].split(", "),
        **({"providers": providers} if (providers := _providers(attributes)) else {}),
        "extent": extent,
        "links": _links(attributes),
        "assets": {
            name: {"href": f"./{name}", "title": title, "type": kind, "roles": [role]}
            for name, (title, kind, role) in (ASSETS | _tables(feedback)).items()
        },
        "cube:dimensions": _dimensions(layout, attributes),
        "cube:variables": _variables(layout),
        "summaries": {"recipe": [layout["recipe"]], "bytes": [checked["bytes"]]},
    }


def _tables(feedback: list[dict]) -> dict[str, tuple[str, str, str]]:
    """The tables of feedback as assets."""
    return {
        f"{one['folder']}/{name}": ("feedback on the observations of a shard", "application/vnd.apache.parquet", "data")
        for one in feedback
        for name in one["files"]
    }


def bounding_box(attributes: dict) -> list[float]:
    """West, south, east, north as in GeoJSON: -180 to 180, with west > east across the date line."""
    west, east = attributes["geospatial_lon_min"], attributes["geospatial_lon_max"]
    step = float(attributes.get("geospatial_lon_resolution", "0").split()[0])
    if east - west + step >= 359.99:
        west, east = -180.0, 180.0
    elif east > 180:
        west, east = (west - 360 if west > 180 else west), east - 360
    return [west, attributes["geospatial_lat_min"], east, attributes["geospatial_lat_max"]]


def _licence(text: str) -> str:
    """An SPDX identifier unchanged; `other` for any other text, which the landing page shows."""
    return text if text and set(text) <= set(_SPDX) else "other"


_SPDX = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.+"


def _providers(attributes: dict) -> list[dict[str, object]]:
    providers = []
    for who, role in (("creator", "producer"), ("publisher", "host")):
        if name := attributes.get(f"{who}_name"):
            url = {"url": attributes[f"{who}_url"]} if attributes.get(f"{who}_url") else {}
            providers.append({"name": name, "roles": [role]} | url)
    return providers


def _links(attributes: dict) -> list[dict[str, str]]:
    links = [{"rel": "self", "href": "./stac.json", "type": "application/json"}]
    links.append({"rel": "describedby", "href": "./README.md", "type": "text/markdown"})
    if page := attributes.get("metadata_link"):
        links.append({"rel": "about", "href": page})
    return links


def _dimensions(layout: dict, attributes: dict) -> dict[str, object]:
    members = layout["settings"]["product"]["members"]
    sides = {}
    for name, axis, short in (("latitude", "y", "lat"), ("longitude", "x", "lon")):
        extent = [attributes[f"geospatial_{short}_min"], attributes[f"geospatial_{short}_max"]]
        sides[name] = {"type": "spatial", "axis": axis, "extent": extent, "reference_system": 4326}
    time = {
        "type": "temporal",
        "extent": [attributes["time_coverage_start"], attributes["time_coverage_end"]],
        "step": attributes["time_coverage_resolution"],
    }
    return {"realization": {"type": "ensemble", "extent": [0, members - 1]}, "time": time} | sides


def _variables(layout: dict) -> dict[str, object]:
    dimensions, variables = ["realization", "time", "latitude", "longitude"], {}
    for name in layout["settings"]["domain"]["channels"]:
        channel = CHANNELS[name]
        variables[name] = {
            "dimensions": dimensions,
            "type": "data",
            "description": channel.long_name,
            "unit": channel.units,
            "attrs": {"kept_mantissa_bits": layout["bits"][name]},
        }
    return variables
