"""The archive's landing page and its entry for catalogues, made from its metadata alone.

STAC 1.1 (https://github.com/radiantearth/stac-spec) with the datacube extension 2.2.
"""

import json
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from hindsight.archive import objects
from hindsight.settings import Archive
from hindsight.settings.lexicon import CHANNELS

CUBE = "https://stac-extensions.github.io/datacube/v2.2.0/schema.json"
STORE = "reanalysis.zarr"
ASSETS = {  # files beside the catalogue entry: what they are, their type, their role
    STORE: ("members, with groups mean and spread", "application/vnd.zarr; version=3", "data"),
    "README.md": ("landing page", "text/markdown", "metadata"),
    "provenance.csv": ("where every shard and block of members comes from", "text/csv", "metadata"),
    "check.json": ("that the archive is whole, and what rounding lost", "application/json", "metadata"),
    "layout.json": ("recipe, attributes and checksums of the metadata", "application/json", "metadata"),
}


def run(settings: Archive, *, layout: Path, check: Path, page: Path, catalogue: Path) -> None:
    """Describe the archive: a landing page and a STAC collection, made from its metadata."""
    told, checked = json.loads(layout.read_text()), json.loads(check.read_text())
    environment = Environment(
        loader=PackageLoader("hindsight.archive", "."), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.get_template("README.md.jinja").render(facts(told, checked) | {"settings": settings})
    objects.put(page, text.encode())
    objects.put_json(catalogue, collection(told, checked))


def facts(told: dict, checked: dict) -> dict[str, object]:
    """What the landing page is filled with.

    Args:
        told: `layout.json`.
        checked: `check.json`.
    """
    attributes, settings = told["attributes"], told["settings"]
    rows = [_row(name, told, checked) for name in settings["domain"]["channels"]]
    return {
        "about": attributes,
        "rows": rows,
        "first": settings["domain"]["channels"][0],
        "gigabytes": f"{checked['bytes'] / 1e9:.3g}",
        "checked": checked,
        "said": told["made_from"],
        "settings_used": settings,
        "cite": citation(attributes),
    }


def _row(name: str, told: dict, checked: dict) -> dict[str, object]:
    channel, loss = CHANNELS[name], checked["loss"][name]
    lost = {key: f"{100 * loss[key]:.2g} %" for key in ("rms", "worst")}
    about = {"name": name, "long_name": channel.long_name, "units": channel.units}
    return about | {"standard_name": channel.standard_name or "–", "kept": told["bits"][name], **lost}


def citation(about: dict) -> str:
    """How to cite: what is known of who made it, when, what it is called, and its identifier."""
    who = about.get("creator_name") or about.get("institution") or about.get("publisher_name")
    year = about["date_modified"][:4]
    parts = [f"{who} ({year})" if who else f"({year})", about["title"]]
    if about.get("product_version"):
        parts.append(f"version {about['product_version']}")
    if about.get("publisher_name"):
        parts.append(about["publisher_name"])
    return ". ".join([*parts, about["id"]]) + "."


def collection(told: dict, checked: dict) -> dict[str, object]:
    """The entry for catalogues: a STAC collection that is a data cube."""
    about = told["attributes"]
    start, end = about["time_coverage_start"], about["time_coverage_end"]
    extent = {"spatial": {"bbox": [box(about)]}, "temporal": {"interval": [[start, end]]}}
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": [CUBE],
        "id": about["id"],
        "title": about["title"],
        "description": about["summary"],
        "license": _licence(about.get("license", "")),
        "keywords": about["keywords"].split(", "),
        **({"providers": found} if (found := _providers(about)) else {}),
        "extent": extent,
        "links": _links(about),
        "assets": {
            name: {"href": f"./{name}", "title": title, "type": kind, "roles": [role]}
            for name, (title, kind, role) in ASSETS.items()
        },
        "cube:dimensions": _dimensions(told, about),
        "cube:variables": _variables(told),
        "summaries": {"recipe": [told["recipe"]], "bytes": [checked["bytes"]]},
    }


def box(about: dict) -> list[float]:
    """West, south, east, north, as GeoJSON has them: -180 to 180, west above east across the date line."""
    west, east = about["geospatial_lon_min"], about["geospatial_lon_max"]
    step = float(about.get("geospatial_lon_resolution", "0").split()[0])
    if east - west + step >= 359.99:
        west, east = -180.0, 180.0
    elif east > 180:
        west, east = (west - 360 if west > 180 else west), east - 360
    return [west, about["geospatial_lat_min"], east, about["geospatial_lat_max"]]


def _licence(text: str) -> str:
    """An SPDX identifier as it is; other words are `other`, and stand on the landing page."""
    return text if text and set(text) <= set(_SPDX) else "other"


_SPDX = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.+"


def _providers(about: dict) -> list[dict[str, object]]:
    found = []
    for who, role in (("creator", "producer"), ("publisher", "host")):
        if name := about.get(f"{who}_name"):
            url = {"url": about[f"{who}_url"]} if about.get(f"{who}_url") else {}
            found.append({"name": name, "roles": [role]} | url)
    return found


def _links(about: dict) -> list[dict[str, str]]:
    links = [{"rel": "self", "href": "./stac.json", "type": "application/json"}]
    links.append({"rel": "describedby", "href": "./README.md", "type": "text/markdown"})
    if page := about.get("metadata_link"):
        links.append({"rel": "about", "href": page})
    return links


def _dimensions(told: dict, about: dict) -> dict[str, object]:
    members = told["settings"]["product"]["members"]
    sides = {}
    for name, axis, short in (("latitude", "y", "lat"), ("longitude", "x", "lon")):
        extent = [about[f"geospatial_{short}_min"], about[f"geospatial_{short}_max"]]
        sides[name] = {"type": "spatial", "axis": axis, "extent": extent, "reference_system": 4326}
    time = {
        "type": "temporal",
        "extent": [about["time_coverage_start"], about["time_coverage_end"]],
        "step": about["time_coverage_resolution"],
    }
    return {"realization": {"type": "ensemble", "extent": [0, members - 1]}, "time": time} | sides


def _variables(told: dict) -> dict[str, object]:
    dimensions, found = ["realization", "time", "latitude", "longitude"], {}
    for name in told["settings"]["domain"]["channels"]:
        channel = CHANNELS[name]
        found[name] = {
            "dimensions": dimensions,
            "type": "data",
            "description": channel.long_name,
            "unit": channel.units,
            "attrs": {"kept_mantissa_bits": told["bits"][name]},
        }
    return found
