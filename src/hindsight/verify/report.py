"""The report: one self-contained HTML page."""

import json
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from hindsight import __version__
from hindsight.fields import analyses as analysis_files
from hindsight.fields import calendar, coastline, store
from hindsight.fields import observations as tables
from hindsight.fields import usage as usages
from hindsight.fields.grid import Grid
from hindsight.settings import Domain, Verify
from hindsight.settings.hours import in_words
from hindsight.settings.units import readable_units
from hindsight.verify import cost, excerpts, memorisation, numbers, storm, style
from hindsight.verify.against import Against, capitalised
from hindsight.verify.sections import ReportData, overview, sections


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
    monthly: Path,
    stations: Path,
    series: Path,
    feedback: list[Path],
    curve: Path,
    audit: Path,
    audit_figure: Path,
    coast: list[Path],
    benchmarks: Path,
    manifest: Path,
    configuration: Path,
    report: Path,
) -> None:
    """Write the report: headline, maps, scores, cost and provenance of the run.

    Args:
        domain: channels, grid and periods.
        settings: of the verification: confidence, the storm to show.
        fields: the truth or a reference (`fields.zarr`), of which the test period is read.
        static: land fraction and orography; coastlines follow from the land if `coast` is empty.
        scores: of all networks and analyses (`scores.nc`).
        observations: tables of all shards, `{network}/{shard}.parquet`.
        analyses: of the diffusion, `{network}/diffusion/{shard}-{block}.nc`.
        usage: counts of used and unused observations, `{network}.usage.csv`.
        monthly: departures from observations in each month (`departures_by_month.csv`).
        stations: departures at each station (`stations.csv`).
        series: the same over time (`station_series.csv`).
        feedback: of every analysis, `{network}/{analysis}/{shard}.parquet`.
        curve: validation errors of the training (`curve.csv`).
        audit: of the prior for memorisation (`audit.json`).
        audit_figure: its figure (`audit.png`).
        coast: a TopoJSON file of coastlines, or none.
        benchmarks: folder with a table of seconds and memory for each job (`logs/{run}`).
        manifest: of the source; its notes are shown.
        configuration: all settings of the run (`configuration.json`).
        report: the HTML page to write.
    """
    dataset, configured = store.read(fields), json.loads(configuration.read_text())
    of_network = {name: [p for p in observations if p.parent.name == name] for name in _names(observations)}
    test = calendar.in_period(dataset, domain.test, str(store.folder(fields)))
    data = ReportData(
        xr.load_dataset(scores),
        test["fields"],
        calendar.available(test),
        Grid.of(dataset),
        {name: tables.stations(paths) for name, paths in of_network.items()},
        of_network,
        analyses,
        coastline.on_map(coast, static, dataset.attrs),
        pd.read_csv(monthly),
        pd.read_csv(stations, dtype={"station": str}),
        pd.read_csv(series, dtype={"station": str}),
        feedback,
    )
    fields = partial(excerpts.means, data.paths(data.network)) if data.against.is_none else data.truth
    event = storm.find(fields, data.grid, settings.storm)
    uncertain = data.scores["lower"].isnull().all()
    page = {
        "title": configured["run"],
        "lead": lead(data, dataset, domain),
        "overview": overview(data, event),
        "headline": numbers.headline(data.scores, numbers.headline_channel(data.scores, event.channel)),
        "limits": limits(data, dataset),
        "facts": [*facts(data, dataset, domain, settings), *map(usage_fact, usage)],
        "cost": cost_summary(benchmarks, analyses, data),
        "channels": [
            {"name": name, "units": readable_units(style.CHANNELS[name].units), "long": style.CHANNELS[name].long_name}
            for name in domain.channels
        ],
        "networks": [str(name) for name in data.scores["network"].values],
        "scores": numbers.scores_by_metric(data.scores),
        "scored": "at withheld observations" if data.against.is_none else "over the whole domain",
        "ratios": numbers.ratios(data.scores),
        "withheld": numbers.scores_at_withheld(data.scores),
        "baseline": style.readable(data.scores.attrs["baseline"]),
        "intervals": "" if uncertain else f", with {100 * settings.confidence:g} % confidence intervals",
        "sections": [*sections(data, event, curve, domain, settings), memorisation.section(audit, audit_figure)],
        "notes": json.loads(manifest.read_text())["notes"],
        "provenance": provenance(dataset, analyses),
        "configuration": yaml.safe_dump(configured, sort_keys=False, allow_unicode=True, width=100),
    }
    environment = Environment(
        loader=PackageLoader("hindsight.verify", "."),
        undefined=StrictUndefined,
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page["script"] = (files("hindsight.verify") / "station_map.js").read_text()
    text = environment.get_template("report.html.jinja").render(page)
    store.replace(report, lambda partial: partial.write_text(text))


def _names(observations: list[Path]) -> list[str]:
    """The networks, in the order of their files `{network}/{shard}.parquet`."""
    return list(dict.fromkeys(path.parent.name for path in observations))


def lead(data: ReportData, dataset: xr.Dataset, domain: Domain) -> str:
    """The first sentence of the page: what this reanalysis is."""
    names = domain.channels
    channels = f"{', '.join(names[:-1])} and {names[-1]}" if 1 < len(names) <= 4 else names[0]
    channels = channels if len(names) <= 4 else f"{len(names)} channels"
    networks = "network " + next(iter(data.networks)) if len(data.networks) == 1 else f"{len(data.networks)} networks"
    return (
        f"An ensemble reanalysis by hindsight: {data.scores.attrs['members']} members of {channels} every "
        f"{in_words(domain.step_hours)}, {data.scores.attrs['period']}, sampled from a video diffusion prior given the "
        f"observations of {networks}, and {_compared(data, dataset)}."
    )


def _compared(data: ReportData, dataset: xr.Dataset) -> str:
    """What the analysis is verified against, as the end of a sentence."""
    if data.against.is_truth:
        return f"verified against {dataset.attrs.get('source_title') or 'its source'}"
    others = [] if data.against.is_none else [data.against.named]
    others += ["observations withheld from it"] if data.withheld else []
    return f"compared with {' and with '.join(others)}" if others else "not compared with anything"


def limits(data: ReportData, dataset: xr.Dataset) -> list[str]:
    """What the scores of this run do not show, a sentence each."""
    missing = 0 if data.against.is_none else int(np.count_nonzero(~data.available))
    notes = {"truth": truth_note(dataset), "reference": reference_note(data.against), "none": none_note(data)}
    return [
        notes[data.against.kind],
        "The scores are those of this period, domain and observing network; skill elsewhere was not tested.",
        *([f"{missing} frames are missing in the source: they are analysed, but not scored."] if missing else []),
    ]


def facts(data: ReportData, dataset: xr.Dataset, domain: Domain, settings: Verify) -> list[tuple[str, str]]:
    """Facts about data and method, as pairs of a name and a text."""
    north, east = _span(data.grid.latitude, style.format_latitude), _span(data.grid.longitude, style.format_longitude)
    across = "all longitudes" if data.grid.periodic else east
    frames = data.truth.sizes["time"]
    missing = 0 if data.against.is_none else int(np.count_nonzero(~data.available))
    unscored = f"; the source lacks {missing} of them, which are analysed but not scored" if missing else ""
    return [
        (
            "Period",
            f"{data.scores.attrs['period']}, {frames} frames, one every {in_words(domain.step_hours)}{unscored}",
        ),
        ("Grid", f"{data.grid.shape[0]} × {data.grid.shape[1]} points, {north}, {across}"),
        ("Ensemble", f"{data.scores.attrs['members']} members{', antithetic' if data.antithetic else ''}"),
        _fact_of_fields(data.against, dataset),
        ("Confidence intervals", numbers.interval_note(data.scores, settings.confidence)),
        *((f"Network {name}", _network(table)) for name, table in data.networks.items()),
        *(("Rejected", text) for text in rejected_observations(data.analyses)),
        *(("Warning", text) for text in controller_warnings(data.analyses)),
    ]


def _fact_of_fields(against: Against, dataset: xr.Dataset) -> tuple[str, str]:
    """What the fields of the period are."""
    if against.is_none:
        return "Compared with", "withheld observations only; there are no fields of this period"
    return against.kind.capitalize(), dataset.attrs.get("source_title") or "the source"


def usage_fact(path: Path) -> tuple[str, str]:
    """Usage of a network's observations, from `{network}.usage.csv`."""
    return f"Observations {path.name.removesuffix('.usage.csv')}", usages.sentence(pd.read_csv(path))


def rejected_observations(analyses: list[Path]) -> list[str]:
    """A sentence on observations that shards rejected as gross errors; none without any."""
    counts: dict[tuple[str, str], int] = {}
    for path in analyses:  # every block of members rejects the same
        made = analysis_files.header(path).attrs
        counts[(path.parts[-3], path.stem.split("-")[0])] = int(made.get("gross_observations", 0))
    count, shards = sum(counts.values()), sum(n > 0 for n in counts.values())
    if not count:
        return []
    return [
        f"{count} observations in {shards} shards (halos included) rejected as gross errors; the shards' logs name them"
    ]


def controller_warnings(analyses: list[Path]) -> list[str]:
    """A sentence on files of analyses whose controller was too often at its bound; none without any."""
    shares = [float(analysis_files.header(path).attrs.get("control_at_bound", 0)) for path in analyses]
    files = sum(share > analysis_files.MAX_AT_BOUND for share in shares)
    if not files:
        return []
    return [
        f"in {files} of {len(shares)} files of analyses the controller is at its bound in more than "
        f"{analysis_files.MAX_AT_BOUND:.0%} of the points (at most {max(shares):.1%}), where it may do too little; "
        "train it for such observations, or raise controller.network.shift and scale"
    ]


def _span(axis: np.ndarray, format_degrees: Callable[[float], str]) -> str:
    """The ends of an axis."""
    return (
        f"{format_degrees(axis[0])} to {format_degrees(axis[-1])}" if len(axis) > 1 else f"at {format_degrees(axis[0])}"
    )


def _network(table: pd.DataFrame) -> str:
    stations, errors = table.drop_duplicates("station"), table.groupby("channel", sort=False)["error"].median()
    withheld = stations["withheld"].sum()
    counts = f"{len(stations) - withheld} stations used" + (f", {withheld} withheld" if withheld else "")
    units = {name: readable_units(style.CHANNELS[name].units) for name in errors.index}
    return f"{counts}; errors " + ", ".join(f"{v:.3g} {units[n]}".rstrip() + f" ({n})" for n, v in errors.items())


def cost_summary(benchmarks: Path, analyses: list[Path], data: ReportData) -> dict:
    """The cost of the run, as far as it was measured."""
    names = {*data.networks, *(part for path in analyses for part in path.stem.split("-"))}
    kinds = cost.job_kinds(benchmarks, names)
    sampling = next((kind for kind in kinds if kind.name == "reanalyse: shard"), None)
    frames = data.truth.sizes["time"] * int(data.scores.attrs["members"]) * len(data.networks)
    complete = sampling is not None and sampling.jobs == len(analyses)
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
        "jobs": sum(kind.jobs for kind in kinds),
        "wall": cost.format_duration(sum(kind.seconds for kind in kinds)),
        "memory": cost.format_size(max((kind.memory for kind in kinds), default=np.nan)),
        "each": f"{sampling.seconds / frames:.2g} s" if complete else None,
        "evaluations": cost.evaluations(analyses),
        "precision": cost.precision(analyses),
        "forecasts": [_forecast_row(row) for row in cost.forecasts(benchmarks, analyses)],
    }


def _forecast_row(row: cost.Forecast) -> dict[str, str]:
    """A row of the table of forecast and use."""
    used = "not measured" if row.used is None else cost.format_value(row, row.used)
    exact = row.low == row.high  # counted, not forecast
    return {
        "network": row.network,
        "name": row.name,
        "planned": cost.format_value(row, row.planned),
        "range": "" if exact else f"{cost.format_value(row, row.low)} to {cost.format_value(row, row.high)}",
        "used": used,
        "ratio": "" if row.ratio is None else f"{row.ratio:.2f}",
    }


def truth_note(dataset: xr.Dataset) -> str:
    """A note on what the scores mean, given the truth."""
    if "synthetic" in dataset.attrs:
        return (
            "The truth is a model run without error, and the prior is trained on other years of the same model: "
            "errors of a real source are not in these scores."
        )
    return (
        "The truth is the source with its errors, and the prior, trained on other times of it, shares them: the scores "
        "measure agreement with that source."
    )


def reference_note(against: Against) -> str:
    """A note on what the scores mean, given a reference."""
    return (
        f"{capitalised(against.named)} is not free of errors, and may have assimilated the same reports; the prior, "
        "trained on other years of it, shares its errors. The scores measure agreement with it, except those at "
        "withheld observations, where its own departures stand beside those of the analyses."
    )


def none_note(data: ReportData) -> str:
    """A note on what the scores mean, where there are no fields to compare with."""
    if not data.withheld:
        return (
            "There are no fields of this period to compare with, and no observation is withheld, so there are no "
            "scores: only the spread is known."
        )
    return (
        "There are no fields of this period to compare with: the scores are those at withheld observations alone, and "
        "include the errors of the observations. Elsewhere, and for what is not observed, only the spread is known."
    )


def provenance(dataset: xr.Dataset, analyses: list[Path]) -> list[tuple[str, str]]:
    """Software, source and settings of the analyses."""
    attributes = {key: str(value) for key, value in analysis_files.header(analyses[0]).attrs.items()}
    facts = {
        "software": f"hindsight {__version__}",
        "source": dataset.attrs.get("source_title"),
        "licence": dataset.attrs.get("source_licence"),
        "fields, digest": dataset.attrs.get("digest"),
        "prior, SHA-256": attributes.get("prior"),
        "sampling steps": attributes.get("steps"),
        "regime": attributes.get("regime"),
        "seed": attributes.get("seed"),
    }
    return [(name, value) for name, value in facts.items() if value]
