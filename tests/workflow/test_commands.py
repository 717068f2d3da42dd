"""Lists of files in commands: as short as Bash allows, the same files in the same order; old pieces and parts stay."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from snakemake.io import expand

from hindsight import settings
from tests.workflow import runs

SHARDS = [f"{1955 + k // 12}{1 + k % 12:02}01T00" for k in range(600)]
BLOCKS = [f"{shard}-{block}" for shard in SHARDS for block in (0, 1)]
LISTS = {
    "analyses of two networks": [f"results/r/reanalyse/{n}/diffusion/{k}.nc" for n in "ab" for k in BLOCKS],
    "with other methods": [*(f"results/r/d/{k}.nc" for k in BLOCKS), *(f"results/r/m/{s}-0.nc" for s in SHARDS)],
    "tables": [f"results/r/observe/{n}/{s}.parquet" for n in ("a", "b") for s in SHARDS],
    "stores": [f"resources/d/parts/{s}_1460.zarr" for s in SHARDS],
    "stores by their metadata": [f"results/r/preprocess/pieces/{s}_4096.zarr/zarr.json" for s in SHARDS],
    "one": ["a/b.nc"],
    "none": [],
    "not every pair": ["a/x-0.nc", "a/x-1.nc", "a/y-0.nc"],
    "blocks first": ["a/x-0.nc", "a/y-0.nc", "a/x-1.nc", "a/y-1.nc"],
    "no folder, no block, twice": ["x.nc", "y.nc", "x.nc"],
    "odd names": ["a b/x,y.nc", "a b/$z.nc", "a b/{1..3}.nc", "it's/-.nc", "q/-a.nc", "q/b-.nc"],
    "no ending": ["a/b", "c"],
}  # fmt: skip
CONFIG = {
    "run": "r",
    "domain": {
        "train": {"start": "2000-01-01", "end": "2000-03-31"},
        "validation": {"start": "2000-04-01", "end": "2000-04-30"},
        "test": {"start": "2000-05-01", "end": "2000-12-31"},
    },
    "download": {"source": "bucket", "dataset": "d", "part_frames": 90, "bucket": {"url": "s.zarr"}},
    "preprocess": {"piece_frames": 64, "file_frames": 64},
}


def rules(name, **known):
    """The functions of a file of rules."""
    found = dict(known)
    exec(compile((runs.ROOT / f"workflow/rules/{name}.smk").read_text(), name, "exec"), found)
    return found


def common(end="2000-12-31"):
    """Those of common.smk, for a source in parts and a test period with a given end."""
    config = runs.merged(CONFIG, {"domain": {"test": {"end": end}}})
    return rules("common", SETTINGS=settings.read(config), settings=settings, Path=Path, expand=expand)


@pytest.mark.parametrize("files", LISTS.values(), ids=LISTS)
def test_bash_reads_the_files_in_their_order(files):
    braced = rules("commands")["braced"](files)
    done = subprocess.run(["bash", "-c", f"set -- {braced}; printf '%s\\n' $# \"$@\""], capture_output=True, text=True)
    assert done.stdout.split("\n")[:-1] == [str(len(files)), *files], braced[:500]


def test_a_command_of_fifty_years_is_far_from_what_one_may_have():
    braced = rules("commands")["braced"]
    assert max(len(" ".join(files)) for files in LISTS.values()) > 100_000
    assert max(len(braced(files)) for files in LISTS.values()) < 25_000


def made(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def names(found):
    return [cut.name for cut in found]


def test_pieces_and_parts_of_a_shorter_period_are_kept_as_far_as_they_reach(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = common("2000-07-20")
    assert names(short["PIECES"])[-1] == "20000711T00_10" and names(short["PARTS"])[-1] == "20000629T00_22"
    for cut in short["PARTS"]:
        made(Path(f"resources/d/parts/{cut.name}.json"))
    for cut in short["PIECES"]:
        made(Path(f"results/r/preprocess/pieces/{cut.name}.zarr/zarr.json"))
    long = common("2000-09-30")
    assert names(long["PIECES"])[3:] == ["20000711T00_64", "20000913T00_18"]
    kept, new = long["pieces_of"]("20000712T00_9"), long["pieces_of"]("20000712T00_10")
    assert [str(Path(path).parent.name) for path in (*kept, *new)] == ["20000711T00_10.zarr", "20000711T00_64.zarr"]
    assert names(long["pieces_of_splits"]("train", "validation")) == names(short["pieces_of_splits"]("train", "validation"))
    for day, piece in (("2000-07-20T23:59:59", "20000711T00_10"), ("2000-07-21", "20000711T00_64")):  # a whole day has one
        assert names(long["pieces_with"](np.datetime64("2000-07-12"), day)) == [piece]
    assert names(long["parts_of"]("20000711T00_10")) == ["20000629T00_22"]
    assert names(long["parts_of"]("20000711T00_64")) == ["20000629T00_90"]


def test_a_part_that_another_run_added_since_is_not_taken(tmp_path, monkeypatch):
    """Runs share parts; a piece stays with those that it was made from."""
    monkeypatch.chdir(tmp_path)
    piece = made(Path("results/r/preprocess/pieces/20000711T00_10.zarr/zarr.json"))
    part = made(Path("resources/d/parts/20000629T00_22.json"))
    os.utime(piece, (1, 1))
    made(Path("resources/d/parts/20000629T00_90.json"))
    assert names(common("2000-09-30")["parts_of"]("20000711T00_10")) == ["20000629T00_22"]  # none is older
    os.utime("resources/d/parts/20000629T00_90.json", (1, 1))
    assert names(common("2000-09-30")["parts_of"]("20000711T00_10")) == ["20000629T00_90"]
    os.utime(part, (0, 0))
    assert names(common("2000-09-30")["parts_of"]("20000711T00_10")) == ["20000629T00_22"]
