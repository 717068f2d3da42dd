"""The report: one self-contained HTML page."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from hindsight import __version__
from hindsight.fields import analyses as analysis_files
from hindsight.fields import observations as tables
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.settings import Domain, Verify
from hindsight.verify import coastline, figures

METRICS = ("rmse", "crps", "acc", "spread_skill")
NAMES = {"rmse": "RMSE", "crps": "CRPS", "acc": "ACC", "spread_skill": "spread/skill"}


def run(
    domain: Domain,
    settings: Verify,
    *,
    fields: Path,
    scores: Path,
    observations: list[Path],
    analyses: list[Path],
    curve: Path,
    coast: list[Path],
    configuration: Path,
    report: Path,
) -> None:
    """Draw the report: what was made, how good it is, and from what."""
    found, dataset = xr.load_dataset(scores), store.read(fields)
    grid = Grid.of(dataset)
    lines = coastline.read(coast[0]) if coast else []
    networks = {path.stem: tables.read(path) for path in observations}
    page = {
        "title": f"hindsight: {json.loads(configuration.read_text())['run']}",
        "source": dataset.attrs.get("source_title") or "the source",
        "channels": domain.channels,
        "period": found.attrs["period"],
        "members": found.attrs["members"],
        "reference": "optimal interpolation",
        "frames": dataset.sel(time=slice(domain.test.start, domain.test.end)).sizes["time"],
        "step_hours": domain.step_hours,
        "confidence": settings.confidence,
        "block_days": settings.block_days,
        "grid": f"{grid.shape[0]} x {grid.shape[1]} points ({' to '.join(map(figures.north, grid.latitude[[0, -1]]))}, "
        f"{' to '.join(map(figures.east, grid.longitude[[0, -1]]))})",
        "units": [figures.CHANNELS[name].units for name in domain.channels],
        "tables": [
            score_table(found.sel(network=name), name, table, domain.channels) for name, table in networks.items()
        ],
        "figures": pictures(found, dataset, networks, analyses, curve, lines, settings),
        "provenance": provenance(dataset, analyses),
        "configuration": configuration.read_text(),
    }
    environment = Environment(
        loader=PackageLoader("hindsight.verify", "."),
        undefined=StrictUndefined,
        autoescape=select_autoescape(default=True),
    )
    text = environment.get_template("report.html.jinja").render(page)
    store.replace(report, lambda partial: partial.write_text(text))


def score_table(scores: xr.Dataset, network: str, table: pd.DataFrame, channels: list[str]) -> dict:
    """The score table of one network, best analysis first."""
    stations = table.drop_duplicates("station")
    noise = table.drop_duplicates("channel").set_index("channel")["error"]
    order = scores["score"].sel(metric="crps").mean("channel").argsort().values
    rows = [
        {
            "name": str(name).replace("_", " "),
            "values": [
                _number(scores["score"].sel(analysis=name, metric=m, channel=c), m) for m in METRICS for c in channels
            ],
        }
        for name in scores["analysis"].values[order]
    ]
    return {
        "network": network,
        "stations": int((~stations["withheld"]).sum()),
        "withheld": int(stations["withheld"].sum()),
        "noise": ", ".join(f"{noise[c]:.3g} {figures.CHANNELS[c].units}" for c in channels),
        "metrics": [NAMES.get(metric, metric) for metric in METRICS],
        "rows": rows,
        "ratios": ratios(scores, channels),
    }


def ratios(scores: xr.Dataset, channels: list[str]) -> list[dict]:
    """How much better or worse diffusion is than the reference, with intervals."""
    if "ratio" not in scores:
        return []
    rows = []
    for metric in scores["compared"].values:
        cells = []
        for channel in channels:
            pick = {"compared": metric, "analysis": "diffusion", "channel": channel}
            value, low, high = (
                100 * (float(scores[name].sel(pick)) - 1) for name in ("ratio", "ratio_lower", "ratio_upper")
            )
            tone = "good" if high < 0 else "bad" if low > 0 else ""
            cells.append({"text": f"{value:+.1f} % ({low:+.1f} to {high:+.1f})", "tone": tone})
        rows.append({"metric": NAMES[str(metric)], "values": cells})
    return rows


def _number(value: xr.DataArray, metric: str) -> str:
    return f"{float(value):.3f}" if metric in ("acc", "spread_skill") else f"{float(value):.4g}"


def pictures(
    scores: xr.Dataset,
    dataset: xr.Dataset,
    networks: dict[str, pd.DataFrame],
    analyses: list[Path],
    curve: Path,
    coast: list[np.ndarray],
    settings: Verify,
) -> list[dict]:
    """Every figure with its title and caption."""
    grid, first = Grid.of(dataset), next(iter(networks))
    channels = list(dataset["channel"].values)
    shown = [path for path in analyses if f"/{first}/" in str(path)]
    frame = _stormiest(dataset, shown)
    sample = frame["analysis"].isel(time=0).values
    truth = dataset["fields"].sel(time=frame["time"][0]).values
    stations = networks[first].drop_duplicates("station")
    day = str(frame["time"].values[0])[:16]
    found = [
        (
            "An analysis beside the truth",
            f"{day} UTC, network {first}: the frame of the period with the strongest contrasts; dots are stations.",
            figures.analysis_maps(truth, sample, channels, grid, stations, coast),
        ),
        (
            "Error by region",
            "Root-mean-square error of the ensemble mean, with intervals.",
            figures.skill_bars(scores, "rmse"),
        ),
        (
            "Probabilistic skill by region",
            "Fair CRPS, with intervals. At withheld observations it includes their error.",
            figures.skill_bars(scores, "crps"),
        ),
        (
            "Does the ensemble know how wrong it is?",
            "Rank of the truth among the members; flat is calibrated, a bowl is "
            "too sure of itself, a dome too cautious.",
            figures.rank_histograms(scores),
        ),
        (
            "Where the errors are",
            f"Diffusion, network {first}, over the whole period.",
            figures.error_maps(scores, grid, coast, first),
        ),
        (
            "Is the analysis as rough as the weather?",
            f"Network {first}. Means are smooth where little is known; members should follow the truth.",
            figures.power_spectra(scores, first),
        ),
        _series(dataset, shown, settings, grid, channels),
        (
            "Learning",
            "Below 1 the network knows more than the closed form it starts from.",
            figures.learning_curve(pd.read_csv(curve)),
        ),
    ]
    return [
        {
            "title": title,
            "caption": caption,
            "image": figures.embedded(figure),
            "half": title in ("Learning", "Where the errors are"),
        }
        for title, caption, figure in found
    ]


def _stormiest(dataset: xr.Dataset, paths: list[Path]) -> xr.Dataset:
    """The analysed frame with the strongest contrasts in its last channel."""
    best: tuple[float, list[Path], int] = (-1.0, [], 0)
    for blocks in analysis_files.by_shard(paths):
        last = dataset["fields"].sel(time=analysis_files.head(blocks[0])["time"]).isel(channel=-1).values
        rough = last.std((1, 2))
        best = max(best, (float(rough.max()), blocks, int(rough.argmax())))
    return analysis_files.read(best[1]).isel(time=[best[2]])


def _series(dataset: xr.Dataset, paths: list[Path], settings: Verify, grid: Grid, channels: list[str]) -> tuple:
    """The first hundred frames at a place."""
    latitude, longitude = settings.place or (grid.latitude.mean(), grid.longitude.mean())
    place = {"latitude": latitude, "longitude": longitude}
    parts, count = [], 0
    for blocks in analysis_files.by_shard(paths):
        parts.append(analysis_files.read(blocks)["analysis"].sel(place, method="nearest"))
        count += parts[-1].sizes["time"]
        if count >= 100:
            break
    values = xr.concat(parts, "time").isel(time=slice(0, 100))
    truth = dataset["fields"].sel(place, method="nearest").sel(time=values["time"]).values
    where = f"{figures.north(float(values['latitude']))}, {figures.east(float(values['longitude']))}"
    return (
        "At one place",
        f"The grid point nearest to the place chosen, {where}.",
        figures.time_series(
            values["time"].values, truth, values.transpose("realization", "time", "channel").values, channels, where
        ),
    )


def provenance(dataset: xr.Dataset, analyses: list[Path]) -> list[tuple[str, str]]:
    """What the analyses were made from."""
    made = {key: str(value) for key, value in analysis_files.head(analyses[0]).attrs.items()}
    return [
        ("software", f"hindsight {__version__}"),
        ("source", dataset.attrs.get("source_title", "")),
        ("credit", dataset.attrs.get("source_licence", "")),
        ("fields, digest", dataset.attrs.get("digest", "")),
        ("prior, SHA-256", made.get("prior", "")),
        ("denoising steps", made.get("steps", "")),
        ("regime", made.get("regime", "")),
        ("seed", made.get("seed", "")),
    ]
