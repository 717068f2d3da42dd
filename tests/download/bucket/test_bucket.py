"""A part of a store in a bucket: from a real server, through gcsfs, undisturbed and disturbed."""

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hindsight.download.bucket import bucket
from hindsight.errors import UserError
from hindsight.settings import Download
from tests.servers import stores
from tests.servers.gcs import Server

SMALL = {"size": (16, 8), "levels": (500, 700, 850)}
WB2 = "weatherbench2/datasets/era5/1959-64x32.zarr"
ARCO = "arco/ar/full_37-1h.zarr-v3"
CHANNELS = ["z500", "t850", "t2m", "tp6"]
PART = "19590110T00_120"  # frames 36 to 155: in two of the three chunks in time


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Buckets with a store of each kind."""
    root = tmp_path_factory.mktemp("buckets")
    stores.weatherbench2(root / WB2, **SMALL)
    stores.weatherbench2(root / "weatherbench2/unconsolidated.zarr", consolidated=False, **SMALL)
    stores.arco(root / ARCO, 96, **SMALL)
    stores.version3(root / "weatherbench2/v3.zarr")
    stores.version3(root / "weatherbench2/v3_consolidated.zarr", consolidated=True)
    stores.version3(root / "weatherbench2/sharded.zarr", shards=True)
    return root


@pytest.fixture
def server(root):
    with Server(root) as server:
        yield server


def settings(server, url=f"gs://{WB2}", connections=4, retries=3, patience=20.0, timeout=20.0, options=None, **more):
    limits = {"connections": connections, "retries": retries, "patience_seconds": patience, "timeout_seconds": timeout}
    options = {"endpoint_url": server.url} if options is None and server else options or {}
    given = {"source": "bucket", "bucket": {"url": url, "options": options, **limits}, "minimum_free_gb": 0.0}
    return Download.model_validate(given | {"channels": CHANNELS, "step_hours": 6} | more)


def fetched(chosen, folder, part=PART):
    """Run the step; the part and its marker."""
    raw, marker = folder / f"parts/{part}.zarr", folder / f"parts/{part}.json"
    bucket.run(chosen, part=part, raw=raw / "zarr.json", marker=marker)
    assert [path.name for path in sorted(raw.parent.iterdir())] == [marker.name, raw.name], "something was left behind"
    return xr.open_zarr(raw, consolidated=False).load(), json.loads(marker.read_text())


def plain(root, url):
    return xr.open_zarr(root / url, consolidated=(root / url / ".zmetadata").exists())


def same(found, expected):
    """The same values, dimensions, units and coordinates."""
    for name in found.data_vars:
        assert found[name].dims == expected[name].dims and found[name].attrs == expected[name].attrs
        np.testing.assert_array_equal(found[name].values, expected[name].values)
        for dim in found[name].dims:
            np.testing.assert_array_equal(found[dim].values, expected[dim].values)


def content(folder):
    """Files of a part and their bytes, but for the root's attributes."""
    base = next(folder.glob("parts/*.zarr"))
    return {p.relative_to(base): p.read_bytes() for p in base.rglob("*") if p.is_file() and p != base / "zarr.json"}


def test_a_part_holds_what_the_store_holds_and_only_its_chunks_are_read(root, server, tmp_path):
    found, marker = fetched(settings(server), tmp_path)
    expected = plain(root, WB2).isel(time=slice(36, 156)).sel(level=[500, 850])
    same(found, expected)
    assert set(found.data_vars) == {
        *("geopotential", "temperature", "2m_temperature", "total_precipitation_6hr"),
        *("geopotential_at_surface", "land_sea_mask"),
    }
    assert found["geopotential"].dims == ("time", "level", "longitude", "latitude") and found["level"].dtype == "int32"
    chunks = [f"{WB2}/{name}/{k}.0.0" for name in ("2m_temperature", "total_precipitation_6hr") for k in (0, 1)]
    chunks += [f"{WB2}/{name}/{k}.0.0.0" for name in ("geopotential", "temperature") for k in (0, 1)]
    chunks += [f"{WB2}/{name}/0.0" for name in ("geopotential_at_surface", "land_sea_mask")]
    axes = [f"{WB2}/{name}/0" for name in ("time", "level", "longitude", "latitude")]
    documents = [f"{WB2}/{name}" for name in (".zmetadata", "zarr.json", ".zgroup")]
    assert server.asked() == dict.fromkeys([*chunks, *axes, *documents], 1)
    assert marker["frames"] == 120 and marker["first"] == "1959-01-10T00:00:00"
    source = marker["source"]
    assert (source["chunks"], source["chunks_fetched"]) == (10, 10)
    assert datetime.now(UTC) - datetime.fromisoformat(source["accessed"]) < timedelta(hours=1)
    assert source["chunks_missing"] == source["preliminary"] == source["times_missing"] == []
    assert source["bytes_fetched"] == sum(s.bytes for s in server.log if s.name in chunks)


def test_a_complete_part_is_not_fetched_again_for_the_same_request(server, tmp_path):
    fetched(settings(server), tmp_path)
    marker = tmp_path / f"parts/{PART}.json"
    before = marker.read_text()
    marker.unlink()
    earlier = len(server.log)
    fetched(settings(server, connections=1, retries=0), tmp_path)
    assert marker.read_text() == before
    assert {s.name.rsplit("/", 1)[-1] for s in server.log[earlier:]} == {".zmetadata", "zarr.json", ".zgroup"}
    for more in ({"channels": ["z500"]}, {"channels": ["z850"]}, {"channels": ["z850"], "north": 0.0}):
        found, _ = fetched(settings(server, **more), tmp_path)
        assert found["level"].values.tolist() == [int(more["channels"][0][1:])]
        assert found.sizes["latitude"] == (4 if "north" in more else 8)


@pytest.mark.parametrize(
    ("west", "east", "longitudes"),
    [
        (-50, 50, [-45, -22.5, 0, 22.5, 45]),  # across Greenwich, where the store's numbers begin anew
        (150, 210, [157.5, 180, 202.5]),  # across the date line: they go on
        (-100, -60, [270, 292.5]),  # no seam inside: the store's own numbers
        (-180, 180, [22.5 * k for k in range(16)]),
        (None, None, [22.5 * k for k in range(16)]),
    ],
)
def test_a_region_is_unbroken_wherever_the_store_is_cut(root, server, tmp_path, west, east, longitudes):
    found, _ = fetched(settings(server, south=-40, north=40, west=west, east=east, channels=["z500"]), tmp_path)
    assert found["longitude"].values.tolist() == longitudes
    assert found["latitude"].values.tolist() == [-33.75, -11.25, 11.25, 33.75]
    whole = plain(root, WB2).isel(time=slice(36, 156)).sel(level=[500], latitude=slice(-40, 40))
    expected = whole["geopotential"].sel(longitude=np.array(longitudes) % 360)
    np.testing.assert_array_equal(found["geopotential"].values, expected.values)


def test_an_hourly_store_is_read_at_the_requested_frames(root, server, tmp_path):
    chosen = settings(server, f"gs://{ARCO}", channels=["z500", "t2m"], north=60, south=0)
    found, _ = fetched(chosen, tmp_path, "19590102T00_8")
    expected = plain(root, ARCO).isel(time=slice(24, 72, 6)).sel(level=[500], latitude=slice(60, 0))
    same(found, expected)
    assert found["latitude"].values[0] > found["latitude"].values[-1]
    assert "geopotential_at_surface" not in found and "land_sea_mask" in found  # the first has a time there
    hours = {int(name.split("/")[-1].split(".")[0]) for name in server.asked("/geopotential/")}
    assert hours == set(range(24, 72, 6))


def test_an_accumulation_comes_with_the_hours_before_its_frame(root, server, tmp_path):
    hourly = {"total_precipitation": 1}
    chosen = settings(server, f"gs://{ARCO}", channels=["tp6", "tp3", "t2m"], accumulated=hourly)
    found, _ = fetched(chosen, tmp_path, "19590101T06_6")
    rain = found["total_precipitation"]
    assert rain.dims == ("time", "hours_before", "latitude", "longitude") and rain.sizes["hours_before"] == 6
    whole = plain(root, ARCO)["total_precipitation"].load()
    expected = whole.rolling(time=6).sum().isel(time=slice(6, 42, 6))
    np.testing.assert_allclose(rain.sum("hours_before"), expected, rtol=1e-6)
    np.testing.assert_array_equal(rain.isel(hours_before=2), whole.isel(time=slice(4, 40, 6)))
    assert len(server.asked("/total_precipitation/")) == 36 and len(server.asked("/2m_temperature/")) == 6


def test_hours_before_the_store_begins_are_missing(server, tmp_path):
    found, marker = fetched(
        settings(server, f"gs://{ARCO}", channels=["tp6"], accumulated={"tp6": 1}), tmp_path, "19590101T00_2"
    )
    assert np.isnan(found["total_precipitation"][0, 1:]).all() and not np.isnan(found["total_precipitation"][1]).any()
    assert marker["variables"]["total_precipitation"]["holes"] == ["1959-01-01T00:00:00"]


def test_an_array_has_the_name_that_the_settings_give_it(root, server, tmp_path):
    found, _ = fetched(
        settings(server, f"gs://{ARCO}", channels=["d2m"], rename={"2m_temperature": "d2m"}), tmp_path, "19590101T06_6"
    )
    np.testing.assert_array_equal(found["d2m"], plain(root, ARCO)["2m_temperature"].isel(time=slice(6, 42, 6)))


@pytest.mark.parametrize("name", ["v3", "v3_consolidated", "sharded"])
def test_version_3_with_and_without_shards_and_consolidated_metadata(root, server, tmp_path, name):
    url = f"weatherbench2/{name}.zarr"
    found, _ = fetched(settings(server, f"gs://{url}", channels=["z500", "msl"]), tmp_path, "19590103T00_10")
    same(found, plain(root, url).isel(time=slice(8, 18)).sel(level=[500]))
    blocks = {"sharded": {0}}.get(name, {1, 2})
    assert {int(key.split("/c/")[1].split("/")[0]) for key in server.asked("/geopotential/c")} == blocks


def test_unconsolidated_metadata(root, server, tmp_path):
    url = "weatherbench2/unconsolidated.zarr"
    found, _ = fetched(settings(server, f"gs://{url}"), tmp_path)
    same(found, plain(root, url).isel(time=slice(36, 156)).sel(level=[500, 850]))


@pytest.mark.parametrize("url", [WB2, "weatherbench2/unconsolidated.zarr", "weatherbench2/v3.zarr"])
def test_a_web_server_and_a_folder_are_read_by_the_same_code(root, server, tmp_path, url):
    """A web server has no lists, so all possible names are tried."""
    parts = []
    for number, place in enumerate((f"gs://{url}", f"{server.url}/{url}", str(root / url))):
        options = {"endpoint_url": server.url} if number == 0 else {}
        chosen = settings(server, place, options=options, channels=["z500", "t850", "t2m"])
        fetched(chosen, tmp_path / str(number), "19590103T00_10")
        parts.append(content(tmp_path / str(number)))
    assert parts[0] == parts[1] == parts[2]


FAULTS = {
    "a burst of 503": [{"pattern": "temperature", "status": 503, "times": 5}],
    "429 and 500": [{"pattern": "/0.0", "status": 429, "times": 3}, {"pattern": "level", "status": 500, "times": 2}],
    "503 on the metadata": [{"pattern": "zmetadata", "status": 503, "times": 2}],
    "truncated bodies": [{"pattern": "geopotential", "truncate": 0.5, "times": 3}],
    "short bodies that say they are whole": [{"pattern": "geopotential/", "short": 0.5, "times": 2}],
    "garbage": [{"pattern": "temperature/", "corrupt": True, "times": 3}],
    "stalls": [{"pattern": "temperature/", "stall": 8.0, "times": 2}],
    "resets": [{"pattern": "/1.0.0", "reset": True, "times": 4}],
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_that_pass_leave_no_trace(server, tmp_path, name):
    fetched(settings(server), tmp_path / "undisturbed")
    for fault in FAULTS[name]:
        server.fault(**fault)
    server.log.clear()
    fetched(settings(server, timeout=1.0), tmp_path / "disturbed")
    assert content(tmp_path / "undisturbed") == content(tmp_path / "disturbed")
    assert not any(fault.times for fault in server.faults), "the fault did not strike"
    whole = [count for key, count in server.asked(whole=True).items()]
    assert max(whole) == 1, "something that had arrived whole was fetched again"


def test_a_missing_chunk_is_missing_data_and_listed(root, tmp_path):
    shutil.copytree(root / WB2, tmp_path / "b/holes.zarr")
    (tmp_path / "b/holes.zarr/2m_temperature/1.0.0").unlink()
    with Server(tmp_path) as server:
        found, marker = fetched(settings(server, "gs://b/holes.zarr"), tmp_path / "made")
    assert marker["source"]["chunks_missing"] == ["2m_temperature/1.0.0"]
    gone = np.isnan(found["2m_temperature"]).all(["longitude", "latitude"]).values
    assert (gone == (np.arange(36, 156) >= 100)).all() and not np.isnan(found["geopotential"]).any()
    assert len(marker["variables"]["2m_temperature"]["holes"]) == 56


@pytest.fixture(scope="module")
def zeros(root, tmp_path_factory):
    """A store that leaves out chunks of zeros: all of one variable, the first of another."""
    folder = tmp_path_factory.mktemp("zeros")
    made = plain(root, "weatherbench2/v3.zarr").load().drop_encoding()
    made["mean_sea_level_pressure"][:] = 0
    made["2m_temperature"][:6] = 0
    encoding = {
        name: {"chunks": (6, *v.shape[1:]), "fill_value": 0.0} for name, v in made.data_vars.items() if "time" in v.dims
    }
    for name, more in (("zero.zarr", {}), ("sharded.zarr", {"shards": (12, *made["2m_temperature"].shape[1:])})):
        encoding["2m_temperature"] |= more
        made.to_zarr(
            folder / "b" / name, encoding=encoding, zarr_format=3, consolidated=False, write_empty_chunks=False
        )
    assert not (folder / "b/zero.zarr/mean_sea_level_pressure/c").exists()
    return folder


@pytest.mark.parametrize("name", ["zero.zarr", "sharded.zarr"])
def test_a_missing_chunk_is_missing_data_unless_the_settings_fill_it(zeros, tmp_path, name):
    lost = ["2m_temperature/c/0/0/0", "mean_sea_level_pressure/c/0/0/0", "mean_sea_level_pressure/c/1/0/0"]
    with Server(zeros) as server:
        chosen = settings(server, f"gs://b/{name}", channels=["msl", "t2m"])
        found, marker = fetched(chosen, tmp_path / "made", "19590101T00_12")
        chosen = chosen.model_copy(update={"missing_chunks": "fill"})
        filled, written = fetched(chosen, tmp_path / "made", "19590101T00_12")
    assert (marker["source"]["chunks_missing"], marker["source"]["chunks_filled"]) == (lost, [])
    assert np.isnan(found["mean_sea_level_pressure"]).all() and np.isnan(found["2m_temperature"][:6]).all()
    assert len(marker["variables"]["mean_sea_level_pressure"]["holes"]) == 12
    assert (written["source"]["chunks_missing"], written["source"]["chunks_filled"]) == ([], lost)
    assert (filled["mean_sea_level_pressure"] == 0).all() and (filled["2m_temperature"][:6] == 0).all()
    for dataset in (found, filled):
        assert (dataset["2m_temperature"][6:] > 200).all()


def test_a_chunk_that_stays_broken_is_named_and_the_rest_is_kept(server, tmp_path):
    server.fault("2m_temperature/1.0.0", corrupt=True, times=-1)
    with pytest.raises(UserError, match=r"2m_temperature/1.0.0 has failed 2 times \(it does not decode"):
        fetched(settings(server, retries=1), tmp_path)
    assert not list(tmp_path.glob("parts/*.zarr")) and not list(tmp_path.glob("parts/*.json"))
    server.faults.clear()
    server.log.clear()
    fetched(settings(server), tmp_path)
    assert set(server.asked("/[0-9]+.0.0")) >= {f"{WB2}/2m_temperature/1.0.0"}


STEP = "import sys; from hindsight.cli import main; sys.exit(main(sys.argv[1:]))"


def in_a_process(chosen, folder, before=""):
    """Start the step as a rule does."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "download.json").write_text(json.dumps({"download": chosen.model_dump(mode="json")}))
    options = {"settings": "download.json", "part": PART, "raw": f"parts/{PART}.zarr", "marker": f"parts/{PART}.json"}
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    command = [sys.executable, "-c", before + STEP, "download.bucket", *words]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def test_a_killed_client_resumes_where_it_stopped(root, tmp_path):
    with Server(root) as server:
        fetched(settings(server), tmp_path / "undisturbed")
    with Server(root, latency=0.25) as server:
        chosen, kills = settings(server, connections=1), 0
        for seen in (3, 6, 9):  # chunks asked for, after which the client is killed
            running = in_a_process(chosen, tmp_path / "killed")
            while len(server.asked(r"/\d+(\.0)+$")) < seen and running.poll() is None:
                time.sleep(0.01)
            running.send_signal(signal.SIGKILL)
            running.wait()
            kills += not list((tmp_path / "killed").glob("parts/*.json"))
        running = in_a_process(chosen, tmp_path / "killed")
        assert running.wait() == 0, running.stderr.read()
        again = [count for key, count in server.asked(r"/\d+\.0", whole=True).items()]
    assert content(tmp_path / "undisturbed") == content(tmp_path / "killed")
    assert kills == 3 and sum(again) <= 10 + kills, "more was fetched again than was under way when the client died"


def test_a_server_that_dies_and_comes_back_is_waited_for(root, tmp_path):
    with Server(root) as server:
        fetched(settings(server), tmp_path / "undisturbed")
    server = Server(root, latency=0.1)
    running = in_a_process(settings(server, connections=2), tmp_path / "disturbed")
    while len(server.asked(r"/\d+\.0")) < 4:
        time.sleep(0.01)
    server.stop()
    time.sleep(2)
    assert running.poll() is None
    server.start()
    assert running.wait() == 0, running.stderr.read()
    assert max(server.asked(r"/\d+\.0", whole=True).values()) == 1
    server.stop()
    assert content(tmp_path / "undisturbed") == content(tmp_path / "disturbed")


def test_after_giving_up_on_a_silent_server_fetched_chunks_are_kept(root, tmp_path):
    server = Server(root)
    server.fault("2m_temperature/", stall=60.0, times=-1)
    with pytest.raises(UserError, match="has sent nothing for .* is kept, so run again") as error:
        fetched(settings(server, timeout=0.5, patience=1.5), tmp_path)
    assert "\n" not in str(error.value)
    server.faults.clear()
    server.log.clear()
    fetched(settings(server), tmp_path)
    assert {name.split("/")[-2] for name in server.asked(r"/\d+\.0")} == {"2m_temperature"}
    server.stop()


def test_times_that_the_store_lacks_are_missing_and_listed(root, tmp_path):
    made = xr.open_zarr(root / WB2).load().drop_encoding()
    stores.write(made.isel(time=[k for k in range(250) if k != 40]), tmp_path / "b/gap.zarr", 100, 2, True)
    with Server(tmp_path) as server:
        found, marker = fetched(settings(server, "gs://b/gap.zarr"), tmp_path / "made")
    assert marker["source"]["times_missing"] == ["1959-01-11T00:00:00"] and marker["frames"] == 120
    assert np.isnan(found["2m_temperature"][4]).all()
    expected = made.isel(time=slice(36, 156)).sel(level=[500, 850])
    np.testing.assert_array_equal(np.delete(found["geopotential"], 4, 0), np.delete(expected["geopotential"], 4, 0))


def test_preliminary_data_are_listed_and_times_beyond_them_are_missing(tmp_path):
    stores.arco(tmp_path / "b/arco.zarr", 96, final="1959-01-01", preliminary="1959-01-02", **SMALL)
    with Server(tmp_path) as server:
        chosen = settings(server, "gs://b/arco.zarr", channels=["t2m"])
        found, marker = fetched(chosen, tmp_path / "made", "19590101T12_8")
        assert marker["source"]["preliminary"] == [f"1959-01-02T{hour:02d}:00:00" for hour in (0, 6, 12, 18)]
        assert marker["source"]["times_missing"] == ["1959-01-03T00:00:00", "1959-01-03T06:00:00"]
        assert np.isnan(found["2m_temperature"][6:]).all() and not np.isnan(found["2m_temperature"][:6]).any()
        assert len(server.asked("2m_temperature/")) == 6
        with pytest.raises(UserError, match=r"no frame from 1959-01-03T.* from 1959-01-01T00:00 to 1959-01-02T23:59"):
            fetched(chosen, tmp_path / "beyond", "19590103T00_4")


def test_only_data_that_became_final_are_fetched_anew(tmp_path):
    stores.arco(tmp_path / "b/arco.zarr", 96, final="1959-01-01", preliminary="1959-01-02", **SMALL)
    with Server(tmp_path) as server:
        chosen = settings(server, "gs://b/arco.zarr", channels=["t2m"])
        fetched(chosen, tmp_path / "old", "19590101T00_4")
        fetched(chosen, tmp_path / "new", "19590102T00_4")
        document = tmp_path / "b/arco.zarr/.zmetadata"
        document.write_text(
            document.read_text().replace('"valid_time_stop": "1959-01-01"', '"valid_time_stop": "1959-01-03"')
        )
        server.log.clear()
        fetched(chosen, tmp_path / "old", "19590101T00_4")
        assert not server.asked("2m_temperature/")
        _, marker = fetched(chosen, tmp_path / "new", "19590102T00_4")
        assert len(server.asked("2m_temperature/")) == 4 and marker["source"]["preliminary"] == []


@pytest.mark.parametrize("kind", ["int32", "U4"])
def test_versions_of_times_mark_preliminary_data(root, tmp_path, kind):
    made = plain(root, "weatherbench2/v3.zarr").load().drop_encoding()
    versions = np.where(np.arange(48) < 20, 1, 5)
    made["expver"] = ("time", versions if kind == "int32" else np.char.zfill(versions.astype(str), 4))
    made.to_zarr(tmp_path / "b/v.zarr", zarr_format=2, consolidated=True)
    with Server(tmp_path) as server:
        _, marker = fetched(settings(server, "gs://b/v.zarr", channels=["t2m"]), tmp_path / "made", "19590105T00_8")
    assert marker["source"]["preliminary"] == [f"1959-01-06T{hour:02d}:00:00" for hour in (0, 6, 12, 18)]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"url": "gs://weatherbench3/a.zarr"}, "no Zarr store at gs://weatherbench3/a.zarr.*no such bucket"),
        ({"url": f"gs://{WB2[:-6]}.zar"}, "did you mean 1959-64x32.zarr"),
        ({"url": "gs://weatherbench2/datasets/era6/a.zarr"}, "there is no era6; did you mean era5"),
        (
            {"channels": ["sp"]},
            "no variable for channel sp.*has none of its names; did you mean .*mean_sea_level_pressure",
        ),
        ({"channels": ["z300", "t850"]}, r"no level 300 hPa \(it has 500, 700, 850\)"),
        ({"step_hours": 3}, "has a frame every 6 h, and the settings need one every 3 h"),
        ({"south": 88, "north": 90}, "no latitude in the region"),
        ({"url": "/nowhere/at/all.zarr"}, "no Zarr store at /nowhere/at/all.zarr"),
        ({"url": "ftpx://host/a.zarr"}, "cannot open ftpx://host/a.zarr"),
        ({"options": {"token": "/no/such/key.json"}}, "there is no key file /no/such/key.json.*set it to anon"),
    ],
)
def test_wrong_input_is_refused_with_what_the_store_has(server, tmp_path, what, says):
    with pytest.raises(UserError, match=says) as error:
        fetched(settings(server, **what), tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("parts/*.zarr")) and not list(tmp_path.glob("parts/*.json"))


def test_a_period_outside_the_store_is_refused_with_the_stores_period(server, tmp_path):
    says = "no frame from 2024-01-01T00:00 to 2024-01-01T18:00; it has frames from 1959-01-01T00:00 to 1959-03-04T06:00"
    with pytest.raises(UserError, match=says):
        fetched(settings(server), tmp_path, "20240101T00_4")


def test_a_bucket_without_public_access_is_refused_at_once(root, tmp_path):
    with Server(root, private=("weatherbench2",)) as server:
        with pytest.raises(UserError, match="refuses .*Anonymous caller.* check download.bucket.url, and"):
            fetched(settings(server), tmp_path)
        assert len(server.log) <= 6


def test_a_full_disk_is_reported_and_a_rerun_resumes(root, server, tmp_path):
    """No file may be larger than 30 kB: chunks in space fit, those with levels do not."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)); "
    running = in_a_process(settings(server, connections=1), tmp_path, limit)
    assert running.wait() == 2
    message = running.stderr.read().strip().splitlines()[-1]
    assert "no room is left in" in message and "free some disk" in message
    assert not list(tmp_path.glob("parts/*.json")) and not list(tmp_path.glob("parts/*.zarr"))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == -1
    before = set(server.asked("2m_temperature/"))
    fetched(settings(server), tmp_path)
    assert max(server.asked("2m_temperature/").values(), default=1) == 1 and before <= set(server.asked())


def test_parallel_requests_are_limited_by_the_settings(root, tmp_path):
    with Server(root, latency=0.05) as server:
        most, entered = [0], Server.struck

        def counting(self, name):
            with self.lock:
                most[0] = max(most[0], len(self.open))
            return entered(self, name)

        Server.struck = counting
        try:
            fetched(
                settings(server, f"gs://{ARCO}", channels=["t2m"], connections=3, step_hours=1),
                tmp_path,
                "19590101T00_48",
            )
        finally:
            Server.struck = entered
    assert 2 <= most[0] <= 3


def test_importing_the_step_imports_no_cloud_client():
    code = "import sys, hindsight.download.bucket.bucket, hindsight.download.transfer.files; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"gcsfs", "aiohttp", "requests", "torch"} & set(found)
    assert Path(bucket.__file__).name == "bucket.py"
