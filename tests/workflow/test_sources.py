"""A source of many files: their names are longer than a command may be; one that changes is read again, alone."""

from datetime import timedelta

import pandas as pd

from tests.download import grib_files
from tests.download.grib_files import DAY
from tests.workflow import runs

HOURS, ROOM = 70, 128 * 1024  # files; bytes that Linux takes as one word of a command
PERIODS = {"train": (0, 50), "validation": (51, 60), "test": (61, HOURS - 1)}
TARGET = "resources/d/catalogue.parquet"


def at(hour):
    return (DAY + timedelta(hours=hour)).isoformat()


def test_names_that_fill_no_command_are_listed_in_a_file(tmp_path):
    folder = tmp_path / "data" / "/".join("era5" * 60 for _ in range(8))
    folder.mkdir(parents=True)
    for hour in range(HOURS):
        grib_files.file(folder / f"{hour}.grib", grib_files.message(grib_files.field(hour), time=DAY + timedelta(hours=hour)))
    assert HOURS * len(str(folder)) > ROOM
    config = {
        "run": "r",
        "data": str(folder),
        "domain": {"channels": ["t500"], "step_hours": 1,
                   **{name: {"start": at(a), "end": at(b)} for name, (a, b) in PERIODS.items()}},
        "download": {"source": "grib", "dataset": "d", "minimum_free_gb": 0, "grib": {"files": ["*.grib"]}},
    }
    runs.snakemake(tmp_path / "run", config, TARGET)
    found = pd.read_parquet(tmp_path / "run" / TARGET)
    assert sorted(found["file"]) == sorted(map(str, folder.glob("*.grib"))) and len(set(found["valid"])) == HOURS
    assert not runs.executed(runs.snakemake(tmp_path / "run", config, "--dry-run", TARGET).stdout)
    grib_files.file(folder / "7.grib", grib_files.message(grib_files.field(7), time=DAY - timedelta(hours=1)))
    done = runs.snakemake(tmp_path / "run", config, TARGET)
    assert runs.executed(done.stdout) >= {"sources", "catalogue"} and len(done.stdout) < 20_000
    assert pd.read_parquet(tmp_path / "run" / TARGET)["valid"].min() == pd.Timestamp(DAY - timedelta(hours=1))
