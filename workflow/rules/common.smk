"""What rules share: how a store is named, and which files a run is made of."""

import hashlib
import json
from contextlib import suppress
from functools import lru_cache

import numpy as np

from hindsight.fields import intervals, shards


def store(path: str) -> str:
    """Name a Zarr store by its metadata file, so that the store stays clean."""
    return f"{path}/zarr.json"


def result(path: str) -> str:
    """A file of this run."""
    return f"results/{SETTINGS.run}/{path}"


def resource(path: str) -> str:
    """A file of the dataset, which runs share."""
    return f"resources/{SETTINGS.download.dataset}/{path}"


def digest(what) -> str:
    """Something of any length in a few letters, for a rule to be run again when it changes."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def write(text: str, output) -> None:
    """Write a text to the only file of a rule."""
    Path(output[0]).write_text(f"{text}\n")


# Settings that name thousands of files or times go to a rule's own process, which takes seconds, and not to a command.
LONG = len(SETTINGS.model_dump_json()) > 60_000
NETWORKS = list(SETTINGS.observe.networks)
METHODS = list(SETTINGS.baselines.methods)
CUTS = {shard.name: shard for shard in shards.cut(SETTINGS.domain, SETTINGS.product)}
SHARDS = list(CUTS)
ALL_CUTS = list(CUTS.values())
BLOCKS = range(-(-SETTINGS.product.members // SETTINGS.product.member_block))
PIECES = intervals.pieces(SETTINGS.domain, SETTINGS.preprocess)
ASKED = settings.download_request(SETTINGS)
PARTS = [] if ASKED.source == "synthetic" else intervals.parts(ASKED)


def every(path: str) -> list[str]:
    """Such files of all networks, methods, shards and blocks of members, as far as the path names them."""
    found = {"network": NETWORKS, "method": METHODS, "shard": SHARDS, "block": BLOCKS}
    return expand(
        result(path), **{k: v for k, v in found.items() if f"{{{k}}}" in path}
    )


def frames(name: str) -> intervals.Interval:
    """The cut that a name speaks of."""
    return intervals.parse(name, SETTINGS.domain.step_hours)


def own(shard: str) -> str:
    """The frames of a shard, as steps are told."""
    return CUTS[shard].with_halo(0, 0, SETTINGS.domain).name


def sealed() -> dict[str, str]:
    """The stretches of the shards that are in the archive: a period that grows leaves them as they are."""
    found = {}
    for path in Path(result("archive/shards")).glob("*.json"):
        with suppress(
            ValueError, KeyError
        ):  # a marker that is none is archive.check's business
            marker = json.loads(path.read_text())
            if path.stem in CUTS and marker["frames"] == CUTS[path.stem].frames:
                found[path.stem] = marker["stretch"]
    return found


SEALED = {} if SETTINGS.archive.replace else sealed()


def stretch(shard: str) -> str:
    """The frames that the job of a shard sees."""
    if shard in SEALED:
        return SEALED[shard]
    before, after = SETTINGS.reanalyse.halo_frames(SETTINGS.domain.step_hours)
    return CUTS[shard].with_halo(before, after, SETTINGS.domain).name


def around(shard: str) -> str:
    """The frames that a baseline sees."""
    span = SETTINGS.baselines.optimal_interpolation.frames // 2
    return CUTS[shard].with_halo(span, span, SETTINGS.domain).name


def background(method: str) -> list[str]:
    """The covariance of the training period, for a baseline that needs it."""
    needed = method == "optimal_interpolation"
    return [result("baselines/background.npy")] if needed else []


def members(block: str) -> str:
    """The first and the last member of a block, as steps are told."""
    numbers = SETTINGS.product.block(int(block))
    return f"{numbers[0]}-{numbers[-1]}"


@lru_cache
def observed(name: str, network: str = "{network}") -> list[str]:
    """The observations of some frames: a table for every shard that holds any of them."""
    met = shards.overlapping(ALL_CUTS, frames(name))
    return [f"results/{{run}}/observe/{network}/{shard.name}.parquet" for shard in met]


def made(pattern: str) -> list[intervals.Interval]:
    """The cuts that are there, shortest first: those of shorter periods, too."""
    found = (frames(path.name.split(".")[0]) for path in Path().glob(pattern))
    return sorted(found, key=lambda cut: cut.frames)


MADE_PIECES = made(result("preprocess/pieces/*T*_*.zarr"))
MADE_PARTS = made(resource("parts/*T*_*.json")) if PARTS else []


def first_made(
    cut: intervals.Interval, last: np.datetime64, there: list[intervals.Interval]
) -> intervals.Interval:
    """Where to take the frames of a cut from, up to a last one: what a shorter period left, if it reaches so far.

    The last piece or part of a period has another name when the period grows, and what was made of the shorter one is
    not to be made again.
    """
    same = (c for c in there if c.start == cut.start and c.frames < cut.frames)
    return next((c for c in same if c.last >= last), cut)


def pieces_with(first, last) -> list[intervals.Interval]:
    """The pieces of fields that hold frames of a period."""
    end = np.datetime64(last)
    met = [p for p in PIECES if p.overlaps(first, end)]
    return [first_made(p, p.times[p.times <= end][-1], MADE_PIECES) for p in met]


def stores(found: list[intervals.Interval]) -> list[str]:
    """The stores of pieces."""
    return [store(result(f"preprocess/pieces/{p.name}.zarr")) for p in found]


def pieces_of(name: str) -> list[str]:
    """The stores of the pieces that hold frames of a cut."""
    return stores(pieces_with(frames(name).start, frames(name).last))


def learnt(*splits: str) -> list[intervals.Interval]:
    """The pieces that some splits lie in."""
    periods = [SETTINGS.domain.splits[name] for name in splits]
    return list(dict.fromkeys(p for q in periods for p in pieces_with(q.start, q.end)))


def moments() -> list[str]:
    """What is added up of the training period, a file a piece."""
    return [result(f"preprocess/moments/{p.name}.nc") for p in learnt("train")]


def parts_of(piece: str) -> list[intervals.Interval]:
    """The parts that a piece is made from, of which there are none in one store."""
    cut, there = frames(piece), MADE_PARTS
    if (path := Path(stores([cut])[0])).is_file():
        # runs share parts: another run, of a shorter period, may have added its own since
        there = [c for c in there if age(c) <= path.stat().st_mtime] or there
    met = [p for p in PARTS if p.overlaps(cut.start, cut.last)]
    return [first_made(p, min(p.last, cut.last), there) for p in met]


def age(part: intervals.Interval) -> float:
    """When a part was made."""
    return Path(resource(f"parts/{part.name}.json")).stat().st_mtime


def arrived(parts: list[intervals.Interval] = PARTS) -> list[str]:
    """The files that say that the source is there: a marker a part, or the store."""
    if not PARTS:
        return [store(resource("raw.zarr"))]
    return [resource(f"parts/{part.name}.json") for part in parts]


def raw(parts: list[intervals.Interval] = PARTS) -> list[str]:
    """The source's stores."""
    if not PARTS:
        return [store(resource("raw.zarr"))]
    return [resource(f"parts/{part.name}.zarr") for part in parts]


def fixed(files: list[str]) -> list[str]:
    """What the source is remade for: not a built-in world that becomes longer, which keeps its frames (`world`)."""
    return [] if SETTINGS.download.source == "synthetic" else files


def world() -> str:
    """What the frames of a built-in world depend on: its end, too, if that says how it is cut into stretches."""
    if SETTINGS.download.source != "synthetic":
        return ""
    end = {"synthetic": {"end"}} if ASKED.synthetic.stretches == 1 else {}
    return ASKED.model_dump_json(
        exclude={"periods": True, "missing": True, "accepted": True, **end}
    )
