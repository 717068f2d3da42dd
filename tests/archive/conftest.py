"""A small archive."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hindsight.archive import check, layout, write
from hindsight.fields import analyses, intervals, shards, store
from hindsight.fields.grid import Grid
from hindsight.settings import Archive, Domain, Observe, Product, Reanalyse
from tests import shared

LEVEL = {"z500": 54000.0, "msl": 101000.0, "t2m": 280.0, "u10": 0.0, "u500": 0.0, "tp6": 1.0, "tp24": 1.0}
SIZE = {"z500": 80.0, "msl": 60.0, "t2m": 5.0, "u10": 5.0, "u500": 8.0, "tp6": 0.1, "tp24": 0.1}  # of departures
SAID = {"analysis": "diffusion", "regime": "batch", "steps": 8, "seed": 1, "prior": "ab" * 32}
GRID = Grid(np.arange(40.0, 45), np.arange(-3.0, 3))


@dataclass
class Small:
    """An archive under way: what its steps take, and the truth that its analyses are made of."""

    folder: Path
    end: str = "2009-01-25T12:00"
    members: int = 4
    block: int = 2
    grid: Grid = field(default_factory=lambda: GRID)
    said: dict = field(default_factory=lambda: dict(SAID))
    archive_settings: dict = field(default_factory=lambda: {"title": "Small", "chunk_frames": 5})
    reanalyse: Reanalyse = field(default_factory=Reanalyse)
    channels: list = field(default_factory=lambda: ["z500", "msl"])
    step: object = 24  # hours between frames
    about_fields: dict = field(default_factory=dict)  # attributes

    @property
    def domain(self) -> Domain:
        test = {"start": "2009-01-01T12:00", "end": self.end}
        return Domain(channels=self.channels, step_hours=self.step, test=test)

    @property
    def product(self) -> Product:
        return Product(members=self.members, member_block=self.block, shard_frames=10)

    @property
    def archive(self) -> Path:
        return self.folder / "archive/reanalysis.zarr"

    @property
    def layout(self) -> Path:
        return self.folder / "archive/layout.json"

    @property
    def result(self) -> Path:
        return self.folder / "archive/check.json"

    @property
    def provenance(self) -> Path:
        return self.folder / "archive/provenance.csv"

    @property
    def cuts(self) -> list[shards.Shard]:
        return shards.cut(self.domain, self.product)

    @property
    def markers(self) -> list[Path]:
        return [self.folder / f"archive/shards/{shard.name}.json" for shard in self.cuts]

    def values(self, shard: shards.Shard, member: int) -> np.ndarray:
        """A member of a shard, (T, C, H, W); a longer shard goes on where the shorter one ends."""
        number = [known.name for known in self.cuts].index(shard.name)
        generator = np.random.default_rng([number, member])
        level, size = (np.array([of[name] for name in self.channels])[:, None, None] for of in (LEVEL, SIZE))
        return level + size * generator.standard_normal((shard.frames, len(self.channels), *self.grid.shape))

    def truth(self) -> np.ndarray:
        """All members, (E, T, C, H, W)."""
        return np.stack([np.concatenate([self.values(s, e) for s in self.cuts]) for e in range(self.members)])

    def paths(self, shard: shards.Shard) -> list[Path]:
        """The files of a shard, made where they are not there or were made for fewer frames."""
        found = []
        for number in range(-(-self.members // self.block)):
            members = self.product.block(number)
            path = self.folder / f"analyses/{shard.name}-{number}.nc"
            values = np.stack([self.values(shard, e) for e in members])
            said = self.said | {"observations": f"{number:064d}", "evaluations": 6.0, "stretch": f"{shard.name}_14"}
            analyses.write(
                values, members, shard.times(self.domain.step_hours), self.domain.channels, self.grid, said, path
            )
            found.append(path)
        return found

    def fields(self) -> Path:
        path = self.folder / "fields.zarr"
        times = np.datetime64("2009-01-01T12", "ns") + np.arange(365) * intervals.time_step(self.domain.step_hours)
        axes = {"time": times, "latitude": self.grid.latitude, "longitude": self.grid.longitude}

        empty = xr.DataArray(np.zeros((len(times), *self.grid.shape), "float32"), axes)
        dataset = empty.to_dataset(name="fields").assign_coords(self.grid.coordinates)
        store.write(dataset.assign_attrs({"source_title": "a toy"} | self.about_fields), path)
        return path

    def lay_out(self) -> None:
        sections = self.domain, self.product, self.reanalyse, Observe(), Archive(**self.archive_settings)
        layout.run(*sections, first_shard=self.paths(self.cuts[0]), fields=self.fields(), archive=self.archive,
                   marker=self.layout)  # fmt: skip

    def write(self, number: int) -> None:
        shard, marker = self.cuts[number], self.markers[number]
        write.run(self.domain, self.product, Observe(), layout=self.layout, analyses=self.paths(shard),
                  archive=self.archive, marker=marker)  # fmt: skip

    def check(self, markers: list[Path] | None = None) -> None:
        check.run(self.domain, self.product, Archive(**self.archive_settings), layout=self.layout,
                  markers=markers or self.markers, archive=self.archive, provenance=self.provenance,
                  result=self.result)  # fmt: skip

    def make(self) -> None:
        """Lay out, write every shard, check."""
        self.lay_out()
        for number in range(len(self.cuts)):
            self.write(number)
        self.check()

    def objects(self) -> dict[str, tuple[bytes, int, int]]:
        """Every file of the archive: bytes, inode, time of its last change."""
        found = {}
        for path in sorted(p for p in self.archive.rglob("*") if p.is_file()):
            status = path.stat()
            found[path.relative_to(self.archive).as_posix()] = path.read_bytes(), status.st_ino, status.st_mtime_ns
        return found


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Two and a half shards of two blocks of two members, laid out, written and checked: a copy of one made once."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    shutil.copytree(shared.once("small", lambda folder: Small(folder).make()), tmp_path, dirs_exist_ok=True)
    return Small(tmp_path)
