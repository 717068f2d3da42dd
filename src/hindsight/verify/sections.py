"""The sections of the report that consist of pictures."""

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
from hindsight.verify import (
    event_scores,
    excerpts,
    figures,
    lines,
    maps,
    observed,
    station_curves,
    station_map,
    storm,
    style,
)
from hindsight.verify.against import Against, capitalised
from hindsight.verify.regions import WITHHELD

SERIES_FRAMES = 40
LINE_FRAMES = 80


@dataclass(frozen=True)
class ReportData:
    """The data of all pictures of the report."""

    scores: xr.Dataset
    truth: xr.DataArray  # or the reference; not shown if there is none
    available: np.ndarray  # (T,), whether the source has a frame
    grid: Grid
    networks: dict[str, pd.DataFrame]  # stations of each network
    observations: dict[str, list[Path]]  # files of each network
    analyses: list[Path]
    coast: list[np.ndarray]
    monthly: pd.DataFrame  # departures from observations in each month
    stations: pd.DataFrame  # and at each station
    series: pd.DataFrame  # and there over time
    feedback: list[Path]  # of every analysis, `{network}/{analysis}/{shard}.parquet`

    @property
    def network(self) -> str:
        """The first network, for pictures that show only one."""
        return next(iter(self.networks))

    def paths(self, network: str) -> list[Path]:
        """The files of a network's analysis, `{network}/{analysis}/{shard}-{block}.nc`."""
        return [path for path in self.analyses if path.parts[-3] == network]

    @property
    def against(self) -> Against:
        """What the analyses are compared with."""
        return Against.of(self.scores)

    @property
    def withheld(self) -> bool:
        """Whether any network has withheld stations."""
        return WITHHELD in self.scores["region"].values

    def truth_around(self, frame: int, count: int) -> xr.DataArray:
        """The truth in consecutive frames around one, all inside the period."""
        first = min(max(frame - count // 2, 0), max(self.truth.sizes["time"] - count, 0))
        return self.truth.isel(time=slice(first, first + count)).load()

    @property
    def antithetic(self) -> bool:
        """Whether members come in pairs of opposite noise."""
        return bool(self.scores.attrs["antithetic"])

    def used(self, network: str) -> pd.DataFrame:
        """The stations of a network that are not withheld."""
        return tables.usable_stations(self.networks[network]).drop_duplicates("station")


def overview(data: ReportData, event: storm.Storm) -> dict:
    """The picture of the first screen, one channel of the first network, and its caption."""
    truth = data.truth_around(event.frame, LINE_FRAMES if data.grid.is_line else 1).sel(channel=[event.channel])
    times, used, against = truth["time"].values, data.used(data.network), data.against
    members = excerpts.read_frames(data.paths(data.network), times).sel(channel=[event.channel]).values
    if data.grid.is_line:
        coordinate = lines.Line.of(data.grid).name
        figure = lines.hovmoller(
            truth.values, members, times, [event.channel], data.grid, used, data.network, columns=2,
            size=(style.NARROW, 2.6), label=against.label, antithetic=data.antithetic,
        )  # fmt: skip
        text, marks = f"{event.channel} by time and {coordinate}", "Triangles"
    else:
        figure = maps.channel_maps(
            truth.values[0], members[:, 0], [event.channel], data.grid, used, data.coast, across=2, width=style.NARROW,
            label=against.label, antithetic=data.antithetic,
        )  # fmt: skip
        text, marks = f"{event.channel} at {style.format_time(times[0])}", "Dots"
    content = f"{against.label}, mean of the members, its {against.difference}, and spread"
    if against.is_none:
        content = "mean of the members, and spread"
    caption = f"{text}, network {data.network}: {content}. {marks}: stations used."
    alt = f"{capitalised(against.panels)} of {event.channel}"
    return {"picture": style.picture(figure, alt), "text": caption}


def sections(data: ReportData, event: storm.Storm, curve: Path, domain: Domain, settings: Verify) -> list[dict]:
    """Every section of pictures in the order of the page: title, text and pictures."""
    parts = (
        lambda: [_line(data, event)] if data.grid.is_line else _storm(data, event, domain),
        lambda: [_where(data), *_scores_by_region(data), *_observed(data), *_curves(data, event)],
        lambda: [*_ensemble(data), *filter(None, [event_scores.table(data.scores)])],
        lambda: [_series(data, event, settings), _seams(data, settings), _learning(curve)],
    )
    progress, finished = Progress("verify.report", len(parts)), []
    for done, part in enumerate(parts):
        progress(done)
        finished += part()
    return finished


def _streams(data: ReportData) -> str:
    """A sentence on regimes whose shards are independent streams."""
    regime = analyses.header(data.paths(data.network)[0]).attrs.get("regime", "batch")
    if regime == "batch":
        return ""
    name = regime.replace("_", " ")
    return f" Each shard is a separate stream ({name}) whose spin-up is discarded, so seams are also edges of streams."


def _learning(curve: Path) -> dict:
    return {
        "title": "Learning",
        "text": "Validation error by noise level, relative to that of the linear prior: below 1 the network is better.",
        "pictures": [style.picture(figures.learning_curve(pd.read_csv(curve)), "Error against optimiser steps")],
    }


def _storm(data: ReportData, event: storm.Storm, domain: Domain) -> list[dict]:
    numbers = storm.frames_around(event, data.truth.sizes["time"], domain.step_hours)
    truth, used = data.truth.isel(time=numbers).load(), data.used(data.network)
    members = excerpts.read_frames(data.paths(data.network), truth["time"].values)
    now, when = list(numbers).index(event.frame), style.format_time(data.truth["time"].values[event.frame])
    grid, rows, columns = maps.crop_near(data.grid, event.latitude, event.longitude)
    near = {"channel": list(truth["channel"].values).index(event.channel), "latitude": rows, "longitude": columns}
    strip = maps.frame_strip(
        truth.isel(near).values, members.isel(near).values, truth["time"].values, event.channel, grid, used, data.coast,
        data.against.label, data.antithetic,
    )  # fmt: skip
    channels = [str(name) for name in truth["channel"].values]
    frame = maps.channel_maps(
        truth.values[now], members.values[:, now], channels, data.grid, used, data.coast, label=data.against.label,
        antithetic=data.antithetic,
    )  # fmt: skip
    content, where = data.against.panels, style.format_place(event.latitude, event.longitude)
    return [
        {
            "title": event.description.capitalize(),
            "text": f"Network {data.network}, around {when}, centre near {where}. Dots: stations used.",
            "pictures": [style.picture(strip, f"Maps of {event.channel} in frames around {when}: {content}")],
        },
        {
            "title": "Every channel",
            "text": f"All channels at {when}. Dots: stations used.",
            "pictures": [style.picture(frame, f"Maps of every channel at {when}: {content}")],
        },
    ]


def _line(data: ReportData, event: storm.Storm) -> dict:
    truth, pictures = data.truth_around(event.frame, LINE_FRAMES), []
    times, channels = truth["time"].values, [str(name) for name in truth["channel"].values]
    for network in data.networks:
        members = excerpts.read_frames(data.paths(network), times).values
        used = data.used(network)
        figure = lines.hovmoller(
            truth.values, members, times, channels, data.grid, used, network, label=data.against.label,
            antithetic=data.antithetic,
        )  # fmt: skip
        alt = f"{capitalised(data.against.panels)} along the line, network {network}"
        pictures.append(style.picture(figure, alt))
    text = f"{len(times)} frames from {style.format_time(times[0])}; time runs downwards. Triangles: stations used."
    return {"title": f"Time and {lines.Line.of(data.grid).name}", "text": text, "pictures": pictures}


def _where(data: ReportData) -> dict:
    title, content = "Where the errors are", "error and spread"
    if data.against.is_none:
        title, content = "Where the spread is", "spread"
    if data.grid.is_line:
        figure = lines.errors(data.scores, data.grid, {name: data.used(name) for name in data.networks})
        what = "Spread" if data.against.is_none else "RMSE of the ensemble mean, and spread (dashed),"
        text = f"{what} over the whole period. Triangles: stations used."
        alt = f"{capitalised(content)} along the line"
        return {"title": title, "text": text, "pictures": [style.picture(figure, alt)]}
    pictures = []
    for name in data.networks:
        scores = data.scores.sel(network=name, analysis="diffusion")
        figure = maps.error_maps(scores, data.grid, data.used(name), data.coast)
        pictures.append(style.picture(figure, f"Maps of {content} of every channel, network {name}"))
    return {
        "title": title,
        "text": f"{'Spread' if data.against.is_none else 'RMSE and spread'} of the diffusion analysis over the whole "
        "period. Dots: stations used.",
        "pictures": pictures,
    }


def _scores_by_region(data: ReportData) -> list[dict]:
    included = " Scores at withheld observations include the errors of the observations." if data.withheld else ""
    if "reference_score" in data.scores:
        included += (
            f" Black: {data.against.label} itself at withheld observations; its CRPS is a mean absolute departure."
        )
    by_region = {
        "title": "Skill by region and season",
        "text": f"RMSE of the ensemble mean, and fair CRPS, with confidence intervals.{included}",
        "pictures": [
            style.picture(
                figures.scores_by_region(data.scores, metric), f"{metric} by region and season, with intervals"
            )
            for metric in ("rmse", "crps")
        ],
    }
    if data.against.is_none:
        by_region |= {"title": "Skill at withheld observations"}
    of_skill = [by_region] if data.scores["regional_score"].sel(metric="rmse").notnull().any() else []
    if data.grid.is_line:  # the errors along the line already show the stations
        return of_skill
    skill = (
        "" if data.against.is_none else "RMSE of the ensemble mean, with confidence intervals, and spread (dashed), "
    )
    by_distance = {
        "title": "Spread by distance to stations" if data.against.is_none else "Error by distance to stations",
        "text": f"{skill or 'Spread '}by distance to the nearest station used.",
        "pictures": [
            style.picture(
                figures.distances(data.scores),
                f"{'Spread' if data.against.is_none else 'Error and spread'} by distance to stations",
            )
        ],
    }
    return [*of_skill, by_distance]


def _observed(data: ReportData) -> list[dict]:
    """Departures from observations, over time and at stations."""
    alt = "Number of observations in each month, and RMSE of departures, network"
    times = [
        style.picture(observed.over_time(data.monthly, name, data.against.label), f"{alt} {name}")
        for name in data.networks
    ]
    over_time = {
        "title": "Observations over time",
        "text": "Number of observations in each month by use, and RMSE of observation minus analysis. Solid: withheld; "
        "dashed: used, which the analysis fits. Scores change with the number of stations: a trend in the curves that "
        "follows the bars is no change of the weather.",
        "pictures": times,
    }
    if data.grid.is_line:
        return [over_time]
    chosen, alt = observed.worst(data.stations), "Departures over time of the stations that depart most"
    channels = data.stations["channel"].unique()
    labels = {str(channel): observed.label_of(str(channel)) for channel in channels}
    at_stations = {
        "title": "Departures at stations",
        "text": "Observation minus analysis at every station over the whole period. The table and the curves have the "
        "stations whose departures are largest relative to what spread and observation error together lead to expect. "
        "Dots: mean; dashed: RMSE; grey: two expected standard deviations of a single departure.",
        "map": station_map.page_part(data.stations, data.series, data.grid, data.coast, labels),
        "pictures": [style.picture(observed.worst_series(chosen, data.series), alt)] if len(chosen) else [],
        "table": observed.worst_table(chosen),
    }
    return [over_time, at_stations]


def _curves(data: ReportData, event: storm.Storm) -> list[dict]:
    """The analysis beside observations at a few stations, over some time, with intervals."""
    times, pictures = data.truth_around(event.frame, LINE_FRAMES)["time"].values, []
    for network in data.networks:
        chosen = station_curves.choose(data.stations, network)
        found = station_curves.read(data.feedback, chosen, times[[0, -1]])
        if len(found):
            figure = station_curves.draw(found, chosen, data.against.label)
            pictures.append(style.picture(figure, f"Observations and analysis at stations, network {network}"))
    return (
        [
            {
                "title": "Observations and analysis",
                "text": f"Around {event.description}, at stations with a small, a median and a large RMSE among those "
                "withheld, or among those used if none is withheld. Dots: observed; line and band: mean of the "
                "analysis, and the interval that should contain 90 % of observations, by spread and observation error.",
                "pictures": pictures,
            }
        ]
        if pictures
        else []
    )


def _ensemble(data: ReportData) -> list[dict]:
    against = data.against
    follow = "" if against.is_none else f"; single members should follow {against.named}"
    return [
        *_ranks(data),
        {
            "title": "Spectra",
            "text": "Power of departures from the climatology, averaged over latitudes by area. The mean has less "
            f"power where the analysis is uncertain{follow}.",
            "pictures": [style.picture(figures.power_spectra(data.scores, data.grid), "Power by wavenumber")],
        },
    ]


def _ranks(data: ReportData) -> list[dict]:
    """Rank histograms of the fields, and of withheld observations where the fields are not the truth."""
    against, scores, tie = data.against, data.scores, "A truth" if data.against.is_truth else "A value"
    meaning = (
        "a flat histogram means a calibrated ensemble, a U shape too little spread, a dome too much. "
        f"{tie} that equals members (no rain, for example) gets one of their ranks at random."
    )
    text, pictures = [], []
    if "rank_histogram" in scores:
        text.append(f"Rank of {against.named} among the members: {meaning}")
        pictures.append(style.picture(figures.rank_histograms(scores), "Rank histograms"))
    if "withheld_rank_histogram" in scores:
        with_error = "Rank of withheld observations among the members, to which the error of the observation is added"
        text.append(f"{with_error}: {meaning}" if not text else f"Below: {with_error[:1].lower() + with_error[1:]}.")
        picture = figures.rank_histograms(scores, at_withheld=True)
        pictures.append(style.picture(picture, "Rank histograms of withheld observations"))
    return [{"title": "Rank histograms", "text": " ".join(text), "pictures": pictures}] if pictures else []


def _series(data: ReportData, event: storm.Storm, settings: Verify) -> dict:
    where = "a used and at a withheld station" if data.withheld else "a used station"
    truth, pictures = data.truth_around(event.frame, SERIES_FRAMES), []
    for network, paths in data.observations.items():
        table = tables.read(paths, *truth["time"].values[[0, -1]])
        if table.empty:
            continue  # no reports around that time
        chosen = excerpts.choose_stations(table, event.channel, settings.place)
        places = excerpts.series(data.paths(network), truth, table, chosen, data.grid)
        figure = figures.time_series(
            truth["time"].values, places, [str(c) for c in truth["channel"].values], network, data.against.label
        )
        alt = f"{capitalised(data.against.at_stations)} at {where}, network {network}"
        pictures.append(style.picture(figure, alt))
    title = "At two stations" if data.withheld else "At a station"
    return {
        "title": title,
        "text": f"Around {event.description}, at {where}. Bars: observation error (one standard deviation).",
        "pictures": pictures,
    }


def _seams(data: ReportData, settings: Verify) -> dict:
    if "seam_ratio" not in data.scores:
        return {
            "title": "Seams",
            "text": "There is no seam to judge: the period is one shard, shards are single frames, or frames beside "
            "the seams are missing.",
            "pictures": [],
        }
    count, against = int(data.scores["seams"].max()), data.against
    shown = "" if against.is_none else f"Black: {against.named}, for comparison. "
    return {
        "title": "Seams",
        "text": f"Change from one frame to the next at the {count} seam{'s' * (count > 1)} of shards, divided by that "
        f"inside shards; 1: no visible seam. Grey: the range of {100 * settings.confidence:g} % of random samples of "
        f"as many changes inside shards. Orange: outside it. {shown}Changes are "
        "root-mean-square values; the correlation is that of perturbations (member minus mean)." + _streams(data),
        "pictures": [style.picture(figures.seam_ratios(data.scores), "Ratios at seams, and their range by chance")],
    }
