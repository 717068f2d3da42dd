"""The sections of the report that are made of pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields import analyses
from hindsight.fields import observations as tables
from hindsight.fields.grid import Grid
from hindsight.progress import Progress
from hindsight.settings import Domain, Verify
from hindsight.verify import excerpts, figures, lines, maps, storm, style
from hindsight.verify.compare import WITHHELD

SERIES_FRAMES = 40
LINE_FRAMES = 80


@dataclass(frozen=True)
class ReportData:
    """What the pictures are drawn from; of one network where one must do, the first."""

    scores: xr.Dataset
    truth: xr.DataArray
    known: np.ndarray  # which frames of it the source has
    grid: Grid
    networks: dict[str, pd.DataFrame]  # where each observes
    observations: dict[str, list[Path]]  # what it saw
    analyses: list[Path]
    coast: list[np.ndarray]

    @property
    def network(self) -> str:
        """The first network."""
        return next(iter(self.networks))

    def paths(self, network: str) -> list[Path]:
        """The files of a network's analysis, `{network}/{analysis}/{shard}-{block}.nc`."""
        return [path for path in self.analyses if path.parts[-3] == network]

    @property
    def withheld(self) -> bool:
        """Whether any network has stations that no analysis saw."""
        return WITHHELD in self.scores["region"].values

    def about(self, frame: int, count: int) -> xr.DataArray:
        """The truth in some frames about one, all inside the period."""
        first = min(max(frame - count // 2, 0), max(self.truth.sizes["time"] - count, 0))
        return self.truth.isel(time=slice(first, first + count)).load()

    def used(self, network: str) -> pd.DataFrame:
        """The stations of a network that an analysis may use."""
        return tables.usable_stations(self.networks[network]).drop_duplicates("station")


def sections(data: ReportData, curve: Path, domain: Domain, settings: Verify) -> list[dict]:
    """Every section that is made of pictures, in the order of the page: its title, its sentence, its pictures."""
    found = storm.find(data.truth, data.grid, settings.storm)
    parts = (
        lambda: [_line(data, found)] if data.grid.is_line else _storm(data, found, domain),
        lambda: [_where(data), *_skill(data)],
        lambda: _ensemble(data),
        lambda: [_series(data, found, settings), _seams(data, settings), _learning(curve)],
    )
    watch, made = Progress("verify.report", len(parts)), []
    for done, part in enumerate(parts):
        watch(done)
        made += part()
    return made


def _streams(data: ReportData) -> str:
    """What else ends at the edges of shards."""
    regime = analyses.header(data.paths(data.network)[0]).attrs.get("regime", "batch")
    if regime == "batch":
        return ""
    name = regime.replace("_", " ")
    return f" Each shard is a stream of its own ({name}), its spin-up thrown away: these are the edges of streams, too."


def _learning(curve: Path) -> dict:
    return {
        "title": "Learning",
        "text": "Validation error by noise level; below 1 the network knows more than its closed-form start.",
        "pictures": [style.picture(figures.learning_curve(pd.read_csv(curve)), "Error against optimiser steps")],
    }


def _storm(data: ReportData, found: storm.Storm, domain: Domain) -> list[dict]:
    numbers = storm.frames_about(found, data.truth.sizes["time"], domain.step_hours)
    truth, used = data.truth.isel(time=numbers).load(), data.used(data.network)
    members = excerpts.read_frames(data.paths(data.network), truth["time"].values)
    now, when = list(numbers).index(found.frame), style.format_time(data.truth["time"].values[found.frame])
    grid, rows, columns = maps.crop_near(data.grid, found.latitude, found.longitude)
    near = {"channel": list(truth["channel"].values).index(found.channel), "latitude": rows, "longitude": columns}
    strip = maps.frame_strip(
        truth.isel(near).values, members.isel(near).values, truth["time"].values, found.channel, grid, used, data.coast
    )
    channels = [str(name) for name in truth["channel"].values]
    frame = maps.channel_maps(truth.values[now], members.values[:, now], channels, data.grid, used, data.coast)
    what, where = "truth, analysis, error and spread", style.format_place(found.latitude, found.longitude)
    return [
        {
            "title": found.description.capitalize(),
            "text": f"Network {data.network}, about {when}, centre near {where}. Dots: stations used.",
            "pictures": [style.picture(strip, f"Maps of {found.channel} in frames about {when}: {what}")],
        },
        {
            "title": "Every channel",
            "text": f"The frame of {when}. Dots: stations used.",
            "pictures": [style.picture(frame, f"Maps of every channel at {when}: {what}")],
        },
    ]


def _line(data: ReportData, found: storm.Storm) -> dict:
    truth, pictures = data.about(found.frame, LINE_FRAMES), []
    times, channels = truth["time"].values, [str(name) for name in truth["channel"].values]
    for network in data.networks:
        members = excerpts.read_frames(data.paths(network), times).values
        used = data.used(network)
        figure = lines.time_and_place(truth.values, members, times, channels, data.grid, used, network)
        pictures.append(style.picture(figure, f"Truth, analysis, error and spread along the line, network {network}"))
    text = f"{len(times)} frames from {style.format_time(times[0])} on, time runs down. Triangles: stations used."
    return {"title": f"Time and {lines.Line.of(data.grid).name}", "text": text, "pictures": pictures}


def _where(data: ReportData) -> dict:
    title = "Where the errors are"
    if data.grid.is_line:
        figure = lines.errors(data.scores, data.grid, {name: data.used(name) for name in data.networks})
        text = "RMSE of the ensemble mean, and spread (dashed), over the whole period. Triangles: stations used."
        return {"title": title, "text": text, "pictures": [style.picture(figure, "Error and spread along the line")]}
    pictures = []
    for name in data.networks:
        scores = data.scores.sel(network=name, analysis="diffusion")
        figure = maps.error_maps(scores, data.grid, data.used(name), data.coast)
        pictures.append(style.picture(figure, f"Maps of error and spread of every channel, network {name}"))
    return {"title": title, "text": "Diffusion, over the whole period. Dots: stations used.", "pictures": pictures}


def _skill(data: ReportData) -> list[dict]:
    included = " Scores at withheld observations include their errors." if data.withheld else ""
    by_region = {
        "title": "Skill by region and season",
        "text": f"RMSE of the ensemble mean, then fair CRPS.{included}",
        "pictures": [
            style.picture(figures.skill(data.scores, metric), f"{metric} by region and season, with intervals")
            for metric in ("rmse", "crps")
        ],
    }
    if data.grid.is_line:  # errors along the line, with the stations, already say what distance would
        return [by_region]
    by_distance = {
        "title": "Error against distance",
        "text": "RMSE of the ensemble mean, with intervals, and spread (dashed), by distance to the nearest "
        "station used.",
        "pictures": [style.picture(figures.distances(data.scores), "Error and spread by distance to stations")],
    }
    return [by_region, by_distance]


def _ensemble(data: ReportData) -> list[dict]:
    return [
        {
            "title": "Rank histograms",
            "text": "Rank of the truth among the members: flat is calibrated, a bowl too sure, a dome too cautious. "
            "A truth that equals members, as where it does not rain, has any rank among theirs, by chance.",
            "pictures": [style.picture(figures.rank_histograms(data.scores), "Rank histograms")],
        },
        {
            "title": "Spectra",
            "text": "Power of departures from the climatology, latitudes weighed by area. Means are smooth where "
            "little is known; members should follow the truth.",
            "pictures": [style.picture(figures.power_spectra(data.scores, data.grid), "Power by wavenumber")],
        },
    ]


def _series(data: ReportData, found: storm.Storm, settings: Verify) -> dict:
    where = "a station used and at one withheld" if data.withheld else "a station used"
    truth, pictures = data.about(found.frame, SERIES_FRAMES), []
    for network, paths in data.observations.items():
        table = tables.read(paths, *truth["time"].values[[0, -1]])
        if table.empty:
            continue  # a network that reports seldom
        chosen = excerpts.choose_stations(table, found.channel, settings.place)
        places = excerpts.series(data.paths(network), truth, table, chosen, data.grid)
        figure = figures.time_series(truth["time"].values, places, [str(c) for c in truth["channel"].values], network)
        alt = f"Truth, analysis and observations at {where}, network {network}"
        pictures.append(style.picture(figure, alt))
    title = "At two stations" if data.withheld else "At a station"
    return {
        "title": title,
        "text": f"About {found.description}, at {where}. Bars: error (one standard deviation).",
        "pictures": pictures,
    }


def _seams(data: ReportData, settings: Verify) -> dict:
    if "seam_ratio" not in data.scores:
        return {"title": "Seams", "text": "One shard, no seam.", "pictures": []}
    count = int(data.scores["seams"].max())
    return {
        "title": "Seams",
        "text": f"From a frame to the next, across the {count} edge{'s' * (count > 1)} of shards over inside them: 1, "
        f"unless a seam shows. Grey: where {100 * settings.confidence:g} % of as many frames from inside lie by "
        "chance. Root-mean-square changes, also over the truth's (black) on the same dates; correlation of "
        "perturbations (members less their mean)." + _streams(data),
        "pictures": [style.picture(figures.seam_ratios(data.scores), "Ratios at seams, and their range by chance")],
    }
