"""Times that a source lacks: a stop with a list, or masked frames, honestly, to the end; a year more; files at a URL."""

import functools
import json
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.workflow import runs

LACKING = {"train": "2000-03-01T12:00", "window": "2000-03-09T12:00", "test": "2001-02-10T12:00"}
PERIODS = {"train": {"start": "2000-01-01T12:00", "end": "2000-11-30T12:00"},
           "validation": {"start": "2000-12-01T12:00", "end": "2001-01-18T12:00"},  # three pieces with what is trained on
           "test": {"start": "2001-02-01T12:00", "end": "2001-02-20T12:00"}}
CONFIG = {
    "run": "gaps",
    "domain": {"channels": ["z500", "t850"], **PERIODS},
    "download": {"dataset": "gaps", "files": ["a.nc"], "rename": {"z": "z500", "t": "t850"}, "missing": list(LACKING.values())},
    "preprocess": {"annual_harmonics": 0, "chunk_frames": 32, "file_frames": 64, "piece_frames": 128},
    "observe": {"networks": {"n": {"share": 0.2, "withheld": 0.2}}},
    "train": {"window": 4, "steps": 6, "batch": 4, "checkpoint_every": 3, "validate_every": 3, "threads": 1,
              "backbone": {"width": 8, "multipliers": [1]}},
    "product": {"members": 3, "member_block": 3, "shard_frames": 16},
    "reanalyse": {"steps": 2, "halo": 4, "threads": 1},
    "baselines": {"climatology": {"days": 15}},
    "verify": {"resamples": 20},
    "archive": {"network": "n"},
}
RUN = "results/gaps"


@pytest.fixture(scope="module")
def world():
    """Daily fields on 6 x 8 points; three days are not there, one of them in one variable only."""
    times = pd.date_range("2000-01-01T12:00", "2001-02-28T12:00", freq="D")
    generator = np.random.default_rng(0)
    smooth = np.cumsum(np.cumsum(generator.standard_normal((len(times), 6, 8)), 1), 2)
    coords = {"time": times, "lat": np.linspace(50, 40, 6), "lon": np.linspace(-7, 7, 8)}
    dims = ("time", "lat", "lon")
    whole = xr.Dataset({"z": (dims, 54000 + 100 * smooth, {"units": "m**2 s**-2"}), "t": (dims, 270 + 0.3 * smooth, {"units": "K"})},
                       coords=coords)
    one = np.datetime64(LACKING["window"])
    found = whole.assign(t=whole["t"].where(whole["time"] != one).assign_attrs(units="K"))
    return found.sel(time=~np.isin(times, [np.datetime64(LACKING[name]) for name in ("train", "test")]))


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    """A whole run on a source with gaps that are allowed."""
    folder = tmp_path_factory.mktemp("gaps")
    world.to_netcdf(folder / "a.nc")
    runs.snakemake(folder, CONFIG | {"data": str(folder)})
    return folder


def fields_of(folder):
    return xr.open_zarr(folder / RUN / "preprocess/fields.zarr", consolidated=False)


def test_a_gap_that_nobody_allowed_stops_the_run_with_the_list(world, tmp_path):
    world.to_netcdf(tmp_path / "a.nc")
    config = runs.merged(CONFIG, {"data": str(tmp_path), "download": {"missing": [LACKING["train"]]}})
    done = runs.snakemake(tmp_path, config, check=False)
    for words in ("no frame at 2001-02-10T12:00:00", "NaN in 1 frame(s), at 2000-03-09T12:00:00", "download.missing"):
        assert words in done.stdout
    assert "2000-03-01" not in done.stdout and "Traceback" not in done.stdout
    assert not (tmp_path / RUN / "preprocess/fields.zarr").exists()
    refused = json.loads((tmp_path / RUN / "download/manifest.refused.json").read_text())
    assert len(refused["masked"]) == 3 and len(refused["problems"]) == 2


@pytest.mark.slow
def test_gaps_that_are_allowed_are_masked_and_nothing_is_learnt_from_them(made):
    fields = fields_of(made)
    lacking = fields["time"].values[~fields["available"].values]
    between = pd.date_range("2001-01-19T12:00", "2001-01-31T12:00").to_numpy()  # the periods: nobody has asked for them
    masked = np.array(list(LACKING.values()), "datetime64[ns]")
    np.testing.assert_array_equal(lacking, np.union1d(masked, between))
    assert bool(fields["fields"].sel(time=lacking).isnull().all())
    assert xr.load_dataset(made / RUN / "preprocess/statistics.nc").attrs["frames"] == 333


@pytest.mark.slow
def test_a_masked_frame_is_analysed_but_neither_observed_nor_scored(made):
    lacking = np.datetime64(LACKING["test"], "ns")
    table = pd.concat(map(pd.read_parquet, sorted((made / RUN / "observe/n").glob("*.parquet"))))
    assert lacking not in table["time"].values and table["time"].nunique() == 19
    archive = xr.open_zarr(made / RUN / "archive/reanalysis.zarr")
    assert bool(archive["z500"].sel(time=lacking).notnull().all()) and archive.sizes["time"] == 20
    assert "2001-02-10T12:00" in archive.attrs["comment"]
    statistics = xr.load_dataset(made / RUN / "verify/statistics/n.nc")
    error = statistics["squared_error"].sel(region="everywhere" if "everywhere" in statistics["region"] else statistics["region"][0])
    assert bool(error.sel(time=lacking).isnull().all()) and bool(error.drop_sel(time=lacking).notnull().all())
    scores = xr.load_dataset(made / RUN / "verify/scores.nc")
    assert bool(scores["score"].sel(metric=["rmse", "crps", "spread"]).notnull().all())
    assert bool(np.isfinite(scores["rmse_map"]).all()) and bool(np.isfinite(scores["power"]).all())
    np.testing.assert_allclose(scores["rank_histogram"].sum("rank"), 1)
    assert re.search(r"lacks 1 of them, which are analysed but not scored", (made / RUN / "verify/report.html").read_text())


@pytest.mark.slow
def test_a_longer_test_period_touches_no_piece_and_does_not_train_again(made):
    kept = [file for pattern in ("preprocess/pieces/*/fields/c/*/0/0/0", "preprocess/moments/*", "train/prior.safetensors")
            for file in (made / RUN).glob(pattern)]
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in kept}
    longer = runs.merged(CONFIG, {"data": str(made), "domain": {"test": {"end": "2001-02-28T12:00"}}})
    done = runs.snakemake(made, longer, f"{RUN}/verify/scores.nc")
    assert runs.executed(done.stdout) >= {"local", "regrid", "join", "simulate", "shard"}  # a part more
    assert not runs.executed(done.stdout) & {"contents", "moments", "climatology", "statistics", "linear_prior", "prior"}
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in kept} == before
    assert fields_of(made).sizes["time"] == 425


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.mark.slow
def test_files_at_a_url_are_fetched_first(world, made, tmp_path):
    (tmp_path / "served").mkdir()
    for year in ("2000", "2001"):
        world.sel(time=year).to_netcdf(tmp_path / f"served/{year}.nc")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "served")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    files = [f"http://127.0.0.1:{server.server_address[1]}/{year}.nc" for year in ("2000", "2001")]
    target = f"{RUN}/preprocess/fields.zarr/zarr.json"
    config = runs.merged(CONFIG, {"data": str(tmp_path), "download": {"files": files}})
    done = runs.snakemake(tmp_path, config, target)
    assert runs.executed(done.stdout) >= {"files", "contents", "local", "manifest", "regrid", "join"}
    xr.testing.assert_equal(fields_of(tmp_path).load(), fields_of(made).sel(time=fields_of(tmp_path)["time"]).load())
    gone = runs.merged(config, {"download": {"files": [files[0], files[1].replace("2001", "2002")]}})
    done = runs.snakemake(tmp_path, gone, target, check=False)
    server.shutdown()
    assert "2002.nc" in done.stdout and "Traceback" not in done.stdout
