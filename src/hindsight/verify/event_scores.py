"""Scores of events, such as rain of 1 mm/h and more: statistics by frame, scores with intervals, and a table."""

import numpy as np
import xarray as xr

from hindsight.fields.grid import Grid
from hindsight.scores import events, significance
from hindsight.settings import Domain, Verify
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.units import readable_units
from hindsight.verify import numbers, style

SCALE = "linear"  # on which intervals are symmetric
ENDS = ("score", "lower", "upper")


def statistics(frames: xr.Dataset, settings: Verify, domain: Domain, grid: Grid) -> xr.Dataset:
    """Statistics of all events of the settings in the frames of one shard; empty if there are no events.

    Args:
        frames: `analysis` (realization, time, channel, latitude, longitude) and `truth`.
        settings: thresholds and scales.
        domain: channels and edges.
        grid: of the fields.

    Returns:
        Each of `events.COUNTS` (event, time) and `events.FRACTIONS` (event, size, time), `event_…`.
    """
    chosen = [(name, one) for name in domain.channels for one in settings.events.get(name, [])]
    if not chosen:
        return xr.Dataset()
    around = domain.latitude_edges == "periodic", domain.longitude_edges == "periodic"
    counted, near = [], []
    for name, threshold in chosen:
        part = frames.sel(channel=name)
        members, truth = part["analysis"].values, part["truth"].values
        counted.append(events.contingency(members, truth, threshold, grid.weights))
        near.append(
            [events.neighbourhoods(members, truth, threshold, n, grid.weights, around) for n in settings.scales]
        )
    data = {f"event_{name}": (("event", "time"), np.stack([one[name] for one in counted])) for name in events.COUNTS}
    for name in events.FRACTIONS:
        values = np.array([[by_size[name] for by_size in one] for one in near])
        data[f"event_{name}"] = ("event", "size", "time"), values
    labels = [_label(name, threshold) for name, threshold in chosen]
    return xr.Dataset(data, {"event": labels, "size": list(settings.scales), "time": frames["time"]})


def scores(series: xr.Dataset, confidence: float) -> xr.Dataset:
    """Critical success index (event) and fractions skill score (event, size), each with the ends of its interval.

    Args:
        series: `statistics` of several analyses.
        confidence: of the intervals.

    Returns:
        `csi_score`, `csi_lower`, `csi_upper` and the same for `fss`; empty if there are no events.
    """
    if "event_hits" not in series:
        return xr.Dataset()
    kinds = {
        "csi": (events.COUNTS, events.critical_success, ("analysis", "event")),
        "fss": (events.FRACTIONS, events.fractions_skill, ("analysis", "event", "size")),
    }
    data = {}
    for kind, (names, score, order) in kinds.items():
        values = {name: series[f"event_{name}"].transpose("time", *order).values for name in names}
        weighted = score({name: significance.weighted_means(one) for name, one in values.items()})
        for end, value in zip(ENDS, (weighted[0], *significance.interval(weighted, confidence, SCALE))):
            data[f"{kind}_{end}"] = order, value
    return xr.Dataset(data, {name: series[name] for name in ("analysis", "event", "size")})


def table(result: xr.Dataset) -> dict | None:
    """The section of the report: a row for each network, event and analysis; none if there are no events."""
    if "csi_score" not in result:
        return None
    sizes = [f"FSS, {size} × {size} points" if size > 1 else "FSS, each point" for size in result["size"].values]
    rows = [
        [str(network), str(event), style.readable(str(analysis))]
        + _values(result.sel(network=network, event=event, analysis=analysis))
        for network in result["network"].values
        for event in result["event"].values
        for analysis in result["analysis"].values
    ]
    return {
        "title": "Events",
        "text": "Critical success index (CSI), the share of hits among all events forecast or seen, over all members; "
        "and fractions skill score (FSS) of the share of members with the event, in squares of several sizes. 1 is "
        "perfect.",
        "pictures": [],
        "table": {"head": ["network", "event", "analysis", "CSI", *sizes], "rows": rows},
    }


def _values(one: xr.Dataset) -> list[str]:
    found = [one[[f"csi_{end}" for end in ENDS]].rename({f"csi_{end}": end for end in ENDS})]
    found += [
        one[[f"fss_{end}" for end in ENDS]].rename({f"fss_{end}": end for end in ENDS}).sel(size=size)
        for size in one["size"].values
    ]
    texts = [numbers.format_score(*(float(part[end]) for end in ENDS)) for part in found]
    return [text["text"] + (f" ({text['range']})" if text["range"] not in ("", numbers.NONE) else "") for text in texts]


def _label(name: str, threshold: float) -> str:
    return f"{name} ≥ {threshold:g} {readable_units(CHANNELS[name].units)}".rstrip()
