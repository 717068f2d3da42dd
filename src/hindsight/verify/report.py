"""The report: one self-contained HTML page."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from hindsight import __version__
from hindsight.fields import analyses as analysis_files
from hindsight.fields import calendar, store
from hindsight.fields import observations as tables
from hindsight.fields import usage as usages
from hindsight.fields.grid import Grid
from hindsight.settings import Domain, Verify
from hindsight.verify import coastline, cost, numbers, style
from hindsight.verify.sections import ReportData, sections


def run(
    domain: Domain,
    settings: Verify,
    *,
    fields: Path,
    static: Path,
    scores: Path,
    observations: list[Path],
    analyses: list[Path],
    usage: list[Path],
    curve: Path,
    coast: list[Path],
    benchmarks: Path,
    configuration: Path,
    report: Path,
) -> None:
    """Draw the report: what was made, how good it is, and from what."""
    dataset, asked = store.read(fields), json.loads(configuration.read_text())
    seen = {name: [p for p in observations if p.parent.name == name] for name in _names(observations)}
    test = calendar.in_period(dataset, domain.test, str(store.folder(fields)))
    data = ReportData(
        xr.load_dataset(scores),
        test["fields"],
        calendar.available(test),
        Grid.of(dataset),
        {name: tables.stations(paths) for name, paths in seen.items()},
        seen,
        analyses,
        coastline.read(coast[0]) if coast else coastline.of_land(static),
    )
    sure = "" if data.scores["lower"].isnull().all() else f", with {100 * settings.confidence:g} % intervals"
    page = {
        "title": asked["run"],
        "facts": [*facts(data, dataset, domain, settings), *map(usage_fact, usage)],
        "cost": cost_summary(benchmarks, analyses, data),
        "channels": [
            {"name": name, "units": style.units(style.CHANNELS[name].units), "long": style.CHANNELS[name].long_name}
            for name in domain.channels
        ],
        "networks": [str(name) for name in data.scores["network"].values],
        "scores": numbers.scores_by_metric(data.scores),
        "ratios": numbers.ratios(data.scores),
        "reference": style.readable(data.scores.attrs["reference"]),
        "intervals": sure,
        "sections": sections(data, curve, domain, settings),
        "truth": truth_note(dataset),
        "provenance": provenance(dataset, analyses),
        "configuration": yaml.safe_dump(asked, sort_keys=False, allow_unicode=True, width=100),
    }
    environment = Environment(
        loader=PackageLoader("hindsight.verify", "."),
        undefined=StrictUndefined,
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("report.html.jinja").render(page)
    store.replace(report, lambda partial: partial.write_text(text))


def _names(observations: list[Path]) -> list[str]:
    """The networks, in the order of their files `{network}/{shard}.parquet`."""
    return list(dict.fromkeys(path.parent.name for path in observations))


def facts(data: ReportData, dataset: xr.Dataset, domain: Domain, settings: Verify) -> list[tuple[str, str]]:
    """What was made, in pairs of a name and a fact."""
    north, east = _span(data.grid.latitude, style.format_latitude), _span(data.grid.longitude, style.format_longitude)
    across = "round the globe" if data.grid.periodic else east
    frames, masked = data.truth.sizes["time"], np.flatnonzero(~data.known)
    lacking = f"; the source lacks {len(masked)} of them, which are analysed but not scored" if len(masked) else ""
    return [
        *(("In short", text) for text in numbers.headline(data.scores)),
        ("Period", f"{data.scores.attrs['period']}, {frames} frames, one every {domain.step_hours} h{lacking}"),
        ("Grid", f"{data.grid.shape[0]} × {data.grid.shape[1]} points, {north}, {across}"),
        ("Ensemble", f"{data.scores.attrs['members']} members"),
        ("Truth", dataset.attrs.get("source_title") or "the source"),
        ("Intervals", numbers.interval_note(data.scores, settings.confidence)),
        *((f"Network {name}", _network(table)) for name, table in data.networks.items()),
        *(("Left out", text) for text in rejected_observations(data.analyses)),
    ]


def usage_fact(path: Path) -> tuple[str, str]:
    """Usage of a network's observations, from `{network}.usage.csv`."""
    return f"Observations {path.name.removesuffix('.usage.csv')}", usages.sentence(pd.read_csv(path))


def rejected_observations(analyses: list[Path]) -> list[str]:
    """A sentence on observations that shards rejected as gross errors; none without any."""
    counts: dict[tuple[str, str], int] = {}
    for path in analyses:  # every block of members leaves out the same
        made = analysis_files.header(path).attrs
        counts[(path.parts[-3], path.stem.split("-")[0])] = int(made.get("gross_observations", 0))
    count, shards = sum(counts.values()), sum(n > 0 for n in counts.values())
    if not count:
        return []
    return [
        f"{count} observations in {shards} shards (halos included) rejected as gross errors; the shards' logs name them"
    ]


def _span(axis: np.ndarray, words: Callable[[float], str]) -> str:
    """From where to where the points of an axis lie."""
    return f"{words(axis[0])} to {words(axis[-1])}" if len(axis) > 1 else f"at {words(axis[0])}"


def _network(table: pd.DataFrame) -> str:
    stations, errors = table.drop_duplicates("station"), table.groupby("channel", sort=False)["error"].median()
    withheld = stations["withheld"].sum()
    counts = f"{len(stations) - withheld} stations used" + (f", {withheld} withheld" if withheld else "")
    units = {name: style.units(style.CHANNELS[name].units) for name in errors.index}
    return f"{counts}; errors " + ", ".join(f"{v:.3g} {units[n]}".rstrip() + f" ({n})" for n, v in errors.items())


def cost_summary(benchmarks: Path, analyses: list[Path], data: ReportData) -> dict:
    """What the run cost, as far as it was measured."""
    names = {*data.networks, *(part for path in analyses for part in path.stem.split("-"))}
    kinds = cost.job_kinds(benchmarks, names)
    sampling = next((kind for kind in kinds if kind.name == "reanalyse: shard"), None)
    made = data.truth.sizes["time"] * int(data.scores.attrs["members"]) * len(data.networks)
    whole = sampling is not None and sampling.jobs == len(analyses)
    return {
        "kinds": [
            {
                "name": kind.name,
                "jobs": kind.jobs,
                "wall": cost.format_duration(kind.seconds),
                "longest": cost.format_duration(kind.longest),
                "processor": "not measured" if pd.isna(kind.processor) else cost.format_duration(kind.processor),
                "memory": cost.format_size(kind.memory),
            }
            for kind in kinds
        ],
        "each": f"{sampling.seconds / made:.2g} s" if whole else None,
        "evaluations": cost.evaluations(analyses),
        "precision": cost.precision(analyses),
        "forecasts": [_forecast_row(row) for row in cost.forecasts(benchmarks, analyses)],
    }


def _forecast_row(row: cost.Forecast) -> dict[str, str]:
    """A line of the plan and what was used of it."""
    used = "not measured" if row.used is None else cost.format_value(row, row.used)
    sure = row.low == row.high  # counted, not forecast
    return {
        "network": row.network,
        "name": row.name,
        "planned": cost.format_value(row, row.planned),
        "band": "" if sure else f"{cost.format_value(row, row.low)} to {cost.format_value(row, row.high)}",
        "used": used,
        "ratio": "" if row.ratio is None else f"{row.ratio:.2f}",
    }


def truth_note(dataset: xr.Dataset) -> str:
    """What is to be borne in mind of what served as the truth."""
    if "synthetic" in dataset.attrs:
        return "The truth is a model's and has no error; the prior learnt from other years of the same model."
    return "The truth is a reanalysis with errors of its own; the prior learnt from other years of it and shares them."


def provenance(dataset: xr.Dataset, analyses: list[Path]) -> list[tuple[str, str]]:
    """What the analyses were made from."""
    made = {key: str(value) for key, value in analysis_files.header(analyses[0]).attrs.items()}
    known = {
        "software": f"hindsight {__version__}",
        "source": dataset.attrs.get("source_title"),
        "credit": dataset.attrs.get("source_licence"),
        "fields, digest": dataset.attrs.get("digest"),
        "prior, SHA-256": made.get("prior"),
        "denoising steps": made.get("steps"),
        "regime": made.get("regime"),
        "seed": made.get("seed"),
    }
    return [(name, value) for name, value in known.items() if value]
