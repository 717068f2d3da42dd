"""What rules share: how a store is named, and which files a run is made of."""

from hindsight.fields import shards


def store(path: str) -> str:
    """Name a Zarr store by its metadata file, so that the store stays clean."""
    return f"{path}/zarr.json"


def result(path: str) -> str:
    """A file of this run."""
    return f"results/{SETTINGS.run}/{path}"


NETWORKS = list(SETTINGS.observe.networks)
METHODS = list(SETTINGS.baselines.methods)
SHARDS = [shard.name for shard in shards.cut(SETTINGS.domain, SETTINGS.product)]
BLOCKS = range(-(-SETTINGS.product.members // SETTINGS.product.member_block))
