"""Functions and constants that rules share: paths of files and stores, shards, pieces and parts."""

import hashlib
import json
from contextlib import suppress
from functools import lru_cache

import numpy as np

from hindsight.fields import intervals, shards


def store(path: str) -> str:
    """The metadata file of a Zarr store, which stands for it, so that Snakemake writes no marker into the store."""
    return f"{path}/zarr.json"


def result(path: str) -> str:
    """Path of a file of this run."""
    return f"results/{SETTINGS.run}/{path}"


def resource(path: str) -> str:
    """Path of a file of the dataset, which runs share."""
    return f"resources/{SETTINGS.download.dataset}/{path}"


def digest(value) -> str:
    """A short digest of a value, as a parameter that reruns a rule when the value changes."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def write(text: str, output) -> None:
    """Write a text to the only output of a rule."""
    Path(output[0]).write_text(f"{text}\n")


# Settings with thousands of files or times are too long for a command; a `run` rule writes them, which takes seconds.
LONG = len(SETTINGS.model_dump_json()) > 60_000
NETWORKS = SETTINGS.observe.scored
FOLDS = [name for name in SETTINGS.observe.networks if name not in NETWORKS]
METHODS = list(SETTINGS.baselines.methods)
SHARD_BY_NAME = {
    shard.name: shard for shard in shards.cut(SETTINGS.domain, SETTINGS.product)
}
SHARDS = list(SHARD_BY_NAME)
ALL_SHARDS = list(SHARD_BY_NAME.values())
BLOCKS = range(-(-SETTINGS.product.members // SETTINGS.product.member_block))
PIECES = intervals.pieces(
    SETTINGS.domain,
    SETTINGS.preprocess,
    SETTINGS.verify.splits(SETTINGS.domain).values(),
)
DOWNLOAD_REQUEST = settings.download_request(SETTINGS)
PARTS = (
    [] if DOWNLOAD_REQUEST.source == "synthetic" else intervals.parts(DOWNLOAD_REQUEST)
)


def every(path: str) -> list[str]:
    """A path expanded over all networks, methods, shards and blocks of members that it contains as wildcards."""
    values = {"network": NETWORKS, "method": METHODS, "shard": SHARDS, "block": BLOCKS}
    return expand(
        result(path), **{k: v for k, v in values.items() if f"{{{k}}}" in path}
    )


def interval_of(name: str) -> intervals.Interval:
    """The interval that a name describes."""
    return intervals.parse(name, SETTINGS.domain.step_hours)


def shard_interval_name(shard: str) -> str:
    """The frames of a shard without its halo, as an option of steps."""
    return SHARD_BY_NAME[shard].with_halo(0, 0, SETTINGS.domain).name


def archived_stretches() -> dict[str, str]:
    """Stretches of the shards in the archive, which stay as they are when the period grows."""
    stretches = {}
    for path in Path(result("archive/shards")).glob("*.json"):
        with suppress(ValueError, KeyError):  # archive.check reports damaged markers
            marker = json.loads(path.read_text())
            if (
                path.stem in SHARD_BY_NAME
                and marker["frames"] == SHARD_BY_NAME[path.stem].frames
            ):
                stretches[path.stem] = marker["stretch"]
    return stretches


# Read at each start, like the files below: 0.1 s for 1,000 shards.
ARCHIVED_STRETCHES = {} if SETTINGS.archive.replace else archived_stretches()


def stretch(shard: str) -> str:
    """The frames of a shard with its halo."""
    if shard in ARCHIVED_STRETCHES:
        return ARCHIVED_STRETCHES[shard]
    before, after = SETTINGS.reanalyse.halo_frames(SETTINGS.domain.step_hours)
    return SHARD_BY_NAME[shard].with_halo(before, after, SETTINGS.domain).name


def baseline_stretch(shard: str, method: str) -> str:
    """The frames of a shard with the halo of a baseline."""
    before, after = SETTINGS.baselines.halo(method)
    return SHARD_BY_NAME[shard].with_halo(before, after, SETTINGS.domain).name


def fitted_file(method: str) -> dict[str, str]:
    """What was fitted to the training period for a baseline, by the name of its option."""
    if method in ("optimal_interpolation", "three_d_var"):
        return {"covariance": result("baselines/covariance.npy")}
    if method in ("four_d_var", "letkf", "ensf"):
        return {"linear_prior": result("train/linear_prior.safetensors")}
    return {}


def reads_covariance(wildcards) -> bool:
    """Whether the method of a job of rule `baseline` reads the covariance."""
    return "covariance" in fitted_file(wildcards.method)


def members(block: str) -> str:
    """The first and the last member of a block, as an option of steps."""
    numbers = SETTINGS.product.block(int(block))
    return f"{numbers[0]}-{numbers[-1]}"


def tables_of_shard(network: str, shard: str, name: str) -> list[str]:
    """Observation tables of a shard and of those beside it that its stretch overlaps.

    The others are `ancient`: changes outside of the stretch trigger no rerun; see `sources_of_tables`, `spec_of`.
    """
    own = result(f"observe/{network}/{shard}.parquet")
    return [
        path if path == own else ancient(path)
        for path in (
            path.format(run=SETTINGS.run, network=network)
            for path in observation_tables(name)
        )
    ]


def sources_of_tables(network: str, name: str) -> list[str]:
    """The files from which the observations in an interval are made."""
    if network in SETTINGS.observe.simulated:
        return pieces_of(name)
    interval_names = report_intervals_with(name)
    return [
        p for r in reports_of_network(network) for p in screened_of(r, interval_names)
    ]


@lru_cache
def observation_tables(name: str, network: str = "{network}") -> list[str]:
    """Observation tables of the shards that overlap an interval."""
    overlapping = shards.overlapping(ALL_SHARDS, interval_of(name))
    return [
        f"results/{{run}}/observe/{network}/{shard.name}.parquet"
        for shard in overlapping
    ]


def existing(pattern: str) -> list[intervals.Interval]:
    """Intervals of existing files, shortest first, including those of shorter periods."""
    paths = Path().glob(pattern)
    return sorted(
        (interval_of(path.name.split(".")[0]) for path in paths),
        key=lambda interval: interval.frames,
    )


# Pieces and parts of a shorter period are reused, so the files that exist decide the inputs of rules. They are listed here,
# once at each start of Snakemake (twice in every job), which takes 0.1 s for 10,000 files. A checkpoint would list them
# during the run instead, but then a dry run could not show the jobs that follow.
EXISTING_PIECES = existing(result("preprocess/pieces/*T*_*.zarr"))
EXISTING_PARTS = existing(resource("parts/*T*_*.json")) if PARTS else []


def reusable(
    wanted: intervals.Interval, last: np.datetime64, available: list[intervals.Interval]
) -> intervals.Interval:
    """The shortest available interval with the start of `wanted` that reaches frame `last`, else `wanted` itself.

    The last piece or part of a period changes its name when the period grows; those of the shorter period are reused.
    """
    same = (
        c for c in available if c.start == wanted.start and c.frames < wanted.frames
    )
    return next((c for c in same if c.last >= last), wanted)


def pieces_with(first, last) -> list[intervals.Interval]:
    """The pieces of fields that overlap a period."""
    end = np.datetime64(last)
    overlapping = [p for p in PIECES if p.overlaps(first, end)]
    return [
        reusable(p, p.times[p.times <= end][-1], EXISTING_PIECES) for p in overlapping
    ]


def stores(pieces: list[intervals.Interval]) -> list[str]:
    """The stores of pieces, by their metadata files."""
    return [store(result(f"preprocess/pieces/{p.name}.zarr")) for p in pieces]


def pieces_of(name: str) -> list[str]:
    """The stores of the pieces that overlap the interval of a name."""
    return stores(pieces_with(interval_of(name).start, interval_of(name).last))


def pieces_of_splits(*splits: str) -> list[intervals.Interval]:
    """The pieces that overlap the given splits."""
    periods = [SETTINGS.domain.splits[name] for name in splits]
    return list(dict.fromkeys(p for q in periods for p in pieces_with(q.start, q.end)))


def moments() -> list[str]:
    """Files with the sums over the training period, one for each piece."""
    return [
        result(f"preprocess/moments/{p.name}.nc") for p in pieces_of_splits("train")
    ]


def parts_of(piece: str) -> list[intervals.Interval]:
    """The parts that a piece is made from; none if the source is a single store."""
    wanted, available = interval_of(piece), EXISTING_PARTS
    if (path := Path(stores([wanted])[0])).is_file():
        # another run of a shorter period may have added parts to the shared dataset since
        before = path.stat().st_mtime
        available = [c for c in available if modified(c) <= before] or available
    overlapping = [p for p in PARTS if p.overlaps(wanted.start, wanted.last)]
    return [reusable(p, min(p.last, wanted.last), available) for p in overlapping]


def modified(part: intervals.Interval) -> float:
    """Modification time of a part."""
    return Path(resource(f"parts/{part.name}.json")).stat().st_mtime


def source_markers(parts: list[intervals.Interval] = PARTS) -> list[str]:
    """The files that show that the source is complete: a marker for each part, or the store."""
    if not PARTS:
        return [store(resource("raw.zarr"))]
    return [resource(f"parts/{part.name}.json") for part in parts]


def source_stores(parts: list[intervals.Interval] = PARTS) -> list[str]:
    """The stores of the source."""
    if not PARTS:
        return [store(resource("raw.zarr"))]
    return [resource(f"parts/{part.name}.zarr") for part in parts]


REPORT_INTERVALS = intervals.of_reports(
    SETTINGS.domain, SETTINGS.observe.quality.interval_frames
)


def report_intervals(split: str) -> list[str]:
    """Names of the intervals of reports that overlap a split."""
    period = SETTINGS.domain.splits[split]
    return [
        i for i in REPORT_INTERVALS if interval_of(i).overlaps(period.start, period.end)
    ]


def report_intervals_with(name: str) -> list[str]:
    """Names of the intervals of reports that overlap the interval of a name."""
    interval = interval_of(name)
    return [
        i
        for i in REPORT_INTERVALS
        if interval_of(i).overlaps(interval.start, interval.last)
    ]


def around(interval: str) -> list[str]:
    """An interval of reports and those before and after it."""
    at = REPORT_INTERVALS.index(interval)
    return REPORT_INTERVALS[max(at - 1, 0) : at + 2]


def report_files_of(name: str, interval: str) -> list[str]:
    """The files of reports that belong to an interval, and their list of stations."""
    return settings.report_files(SETTINGS, name, *interval_of(interval).reach)


def reports_of(name: str, interval_names: list[str]) -> list[str]:
    """Tables of collected reports."""
    return [
        result(f"observe/reports/{name}/{interval}.parquet")
        for interval in interval_names
    ]


def screened_of(name: str, interval_names: list[str]) -> list[str]:
    """Tables of screened reports."""
    return [
        result(f"observe/screened/{name}/{interval}.parquet")
        for interval in interval_names
    ]


def reports_of_network(network: str) -> list[str]:
    """Names of the reports that a network uses."""
    return SETTINGS.observe.networks[network].reports or list(SETTINGS.observe.reports)


def ancient_files(paths: list[str]) -> list[str]:
    """Files whose changes trigger no rerun."""
    return [ancient(path) for path in paths]


def spec_of(network: str, name: str) -> str:
    """The settings on which a network's observations of an interval depend, with those of its denials that concern it.

    A parameter of rules, so that a denial remakes only the shards that it concerns, and a change of one network those of no other.
    """
    spec, interval = SETTINGS.observe.networks[network], interval_of(name)
    first, last = (
        time.astype("datetime64[s]").item() for time in (interval.start, interval.last)
    )
    concerned = [one for one in spec.denied if one.meets(first, last)]
    kept = spec.model_copy(update={"denied": concerned})
    return f"{SETTINGS.observe.seed} {kept.model_dump_json(exclude={'folds'})}"


def calibration_file(name: str) -> list[str]:
    """The calibration of stations, where the settings ask for it."""
    wanted = SETTINGS.observe.quality.calibrate
    return [result(f"observe/{name}.calibration.csv")] if wanted else []


def unless_synthetic(files: list[str]) -> list[str]:
    """The files, or none for a built-in world, which keeps its frames when it becomes longer (`world_settings`)."""
    return [] if SETTINGS.download.source == "synthetic" else files


def world_settings() -> str:
    """Settings that determine the frames of a built-in world; with several segments these include its end."""
    if SETTINGS.download.source != "synthetic":
        return ""
    end = {"synthetic": {"end"}} if DOWNLOAD_REQUEST.synthetic.segments == 1 else {}
    return DOWNLOAD_REQUEST.model_dump_json(
        exclude={
            "periods": True,
            "missing": True,
            "accepted": True,
            "missing_points": True,
            **end,
        }
    )


def analyses_around(network: str, analysis: str, shard: str) -> list[str]:
    """Files of an analysis of a shard and of those beside it, on whose frames means over time may depend."""
    stage = "reanalyse" if analysis == "diffusion" else "baselines"
    at = SHARDS.index(shard)
    return [
        result(f"{stage}/{network}/{analysis}/{near}-{block}.nc")
        for near in SHARDS[max(at - 1, 0) : at + 2]
        for block in (BLOCKS if analysis == "diffusion" else [0])
    ]
