"""What rules share: how a store is named, and which files a run is made of."""

from hindsight.fields import cuts, shards


def store(path: str) -> str:
    """Name a Zarr store by its metadata file, so that the store stays clean."""
    return f"{path}/zarr.json"


def result(path: str) -> str:
    """A file of this run."""
    return f"results/{SETTINGS.run}/{path}"


def resource(path: str) -> str:
    """A file of the dataset, which runs share."""
    return f"resources/{SETTINGS.download.dataset}/{path}"


NETWORKS = list(SETTINGS.observe.networks)
METHODS = list(SETTINGS.baselines.methods)
SHARDS = [shard.name for shard in shards.cut(SETTINGS.domain, SETTINGS.product)]
BLOCKS = range(-(-SETTINGS.product.members // SETTINGS.product.member_block))
PIECES = cuts.pieces(SETTINGS.domain, SETTINGS.preprocess)
ASKED = settings.asked(SETTINGS)
PARTS = cuts.parts(ASKED) if ASKED.source in ("bucket", "grib") else []


def arrived(cut: cuts.Cut | None = None) -> list[str]:
    """The files that say that the source is there: a marker a part, or the store."""
    if not PARTS:
        return [store(resource("raw.zarr"))]
    return [resource(f"parts/{part.name}.json") for part in met(cut)]


def met(cut: cuts.Cut | None) -> list[cuts.Cut]:
    """The parts that hold frames of a cut."""
    return [p for p in PARTS if cut is None or p.meets(cut.times[0], cut.times[-1])]


def raw(cut: cuts.Cut | None = None) -> list[str]:
    """The source's stores, or those of them that hold frames of a cut."""
    if not PARTS:
        return [store(resource("raw.zarr"))]
    return [resource(f"parts/{part.name}.zarr") for part in met(cut)]


def learnt(*splits: str) -> list[cuts.Cut]:
    """The pieces of fields that some splits lie in; without any, all of them."""
    periods = [
        SETTINGS.domain.splits[name] for name in splits or SETTINGS.domain.splits
    ]
    return [p for p in PIECES if any(p.meets(q.start, q.end) for q in periods)]


def pieces(*splits: str) -> list[str]:
    """The stores of such pieces."""
    return [store(result(f"preprocess/pieces/{p.name}.zarr")) for p in learnt(*splits)]


def moments() -> list[str]:
    """What is added up of the training period, a file a piece."""
    return [result(f"preprocess/moments/{p.name}.nc") for p in learnt("train")]
