"""A small archive."""

import numpy as np
import pytest

from hindsight.archive import layout, write
from hindsight.fields import analyses, shards, store
from hindsight.fields.grid import Grid
from hindsight.settings import Archive, Domain, Product


@pytest.fixture
def small(tmp_path):
    """Two and a half shards of four members, laid out and written; returns what the steps take."""
    domain = Domain(channels=["z500", "msl"], test={"start": "2009-01-01T12:00", "end": "2009-01-25T12:00"})
    product = Product(members=4, shard_frames=10)
    grid, generator = Grid(np.arange(40.0, 45), np.arange(-3.0, 3)), np.random.default_rng(0)
    paths, values = {}, {}
    for shard in shards.cut(domain, product):
        values[shard.name] = generator.standard_normal((4, shard.frames, 2, 5, 6)) * [[[80.0]], [[60.0]]] + [
            [[54000.0]],
            [[101000.0]],
        ]
        paths[shard.name] = tmp_path / f"{shard.name}-0.nc"
        analyses.write(
            values[shard.name],
            [0, 1, 2, 3],
            shard.times(24),
            domain.channels,
            grid,
            {"analysis": "diffusion", "prior": "abc"},
            paths[shard.name],
        )
    fields = tmp_path / "fields.zarr"
    sample = analyses.read([paths["20090101T12"]]).isel(realization=0)
    store.write(sample.assign_coords(channel=sample["channel"].astype(object)), fields)
    made = {
        "domain": domain,
        "product": product,
        "paths": paths,
        "values": values,
        "archive": tmp_path / "a.zarr",
        "layout": tmp_path / "layout.json",
        "fields": fields,
    }
    layout.run(
        domain,
        product,
        Archive(title="Small", chunk_frames=5),
        first=[paths["20090101T12"]],
        fields=fields,
        archive=made["archive"],
        marker=made["layout"],
    )
    made["markers"] = [tmp_path / "shards" / f"{name}.json" for name in paths]
    for marker in made["markers"]:
        write.run(
            domain,
            product,
            layout=made["layout"],
            analyses=[paths[marker.stem]],
            archive=made["archive"],
            marker=marker,
        )
    return made
