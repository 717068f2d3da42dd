"""Metadata of every kind of store are read alike."""

import json

import pytest

from hindsight.download.bucket import metadata
from hindsight.download.transfer.fetch import Fetcher
from hindsight.errors import UserError
from hindsight.settings.download import Bucket
from hindsight.storage import Storage
from tests.servers import stores
from tests.servers.gcs import Server

SMALL = {"size": (8, 4), "levels": (500, 850)}
WANTED = ["time", "latitude", "geopotential", "no_such"]


def read(path):
    return metadata.read(Storage(str(path), {}, 5.0), Fetcher(str(path), Bucket(patience_seconds=1.0)), WANTED)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("stores")
    stores.weatherbench2(root / "v2", 8, **SMALL)
    stores.weatherbench2(root / "v2_one_by_one", 8, consolidated=False, **SMALL)
    stores.version3(root / "v3", 8, consolidated=True)
    stores.version3(root / "v3_one_by_one", 8)
    return root


@pytest.mark.parametrize("name", ["v2", "v3"])
def test_consolidated_or_not_the_documents_of_requested_arrays_are_the_same(root, name):
    whole, single = read(root / name), read(root / f"{name}_one_by_one")
    assert whole.names == single.names and "geopotential" in whole.names
    assert whole.digest_of(WANTED) == single.digest_of(WANTED)
    for key, document in single.documents.items():
        if key.startswith("geopotential/"):
            assert document == whole.documents[key]
    assert not any(key.startswith("temperature/") for key in single.documents)


def test_the_digest_of_arrays_ignores_the_stores_own_attributes(root, tmp_path):
    before = read(root / "v2")
    document = json.loads((root / "v2/.zmetadata").read_text())
    document["metadata"][".zattrs"] = {"title": "new", "last_updated": "today"}
    (tmp_path / ".zmetadata").write_text(json.dumps(document))
    after = read(tmp_path)
    assert before.digest() != after.digest() and before.digest_of(WANTED) == after.digest_of(WANTED)
    assert after.description == {"title": "new", "last_updated": "today"} and before.description == {}
    document["metadata"]["geopotential/.zarray"]["chunks"][0] = 50
    (tmp_path / ".zmetadata").write_text(json.dumps(document))
    assert read(tmp_path).digest_of(WANTED) != before.digest_of(WANTED)


NO_STORES = {
    "a.zip": (b"PK\x03\x04more", "is a zip, not a Zarr store.*unpack it, and name the folder"),
    "a.json": (b'{"version": 1, "refs": {".zgroup": "{}"}}', "is a Kerchunk reference.*download.files"),
    "b.json": (b'{".zgroup": "{}", "t/0": ["s3://b/a.nc", 0, 10]}', "is a Kerchunk reference.*download.files"),
    "a.nc": (b"\x89HDF\r\n\x1a\n", "is a netCDF file.*download.source: local"),
    "c.nc": (b"CDF\x02", "is a netCDF file.*download.source: local"),
    "a.grib": (b"GRIB", "is a GRIB file.*download.source: grib"),
    "a.tgz": (b"\x1f\x8b", "is a gzip archive"),
}


@pytest.mark.parametrize("name", NO_STORES)
@pytest.mark.parametrize("served", [False, True])
def test_a_file_in_place_of_a_store_is_refused_by_its_kind(tmp_path, name, served):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / name).write_bytes(NO_STORES[name][0])
    with pytest.raises(UserError, match=NO_STORES[name][1]):
        if not served:
            read(tmp_path / "b" / name)
        with Server(tmp_path) as server:
            storage = Storage(f"gs://b/{name}", {"endpoint_url": server.url}, 5.0)
            metadata.read(storage, Fetcher(storage.url, Bucket(patience_seconds=1.0)), WANTED)


def test_a_folder_that_is_not_a_store_is_refused_by_its_kind(tmp_path):
    (tmp_path / "parquet").mkdir()
    (tmp_path / "parquet/.zmetadata").write_text(json.dumps({"metadata": {".zgroup": {}}, "record_size": 100}))
    with pytest.raises(UserError, match="is a Kerchunk reference"):
        read(tmp_path / "parquet")
    for name in ("snapshots", "manifests", "refs", "chunks"):
        (tmp_path / "ice" / name).mkdir(parents=True)
    with pytest.raises(UserError, match="is an Icechunk repository"):
        read(tmp_path / "ice")


def test_a_missing_store_is_reported_with_the_nearest_names(root, tmp_path):
    with pytest.raises(UserError, match=r"there is no Zarr store at .*/v4: in .* there is no v4; .*v3"):
        read(root / "v4")
    (tmp_path / ".zmetadata").write_text("<html>")
    with pytest.raises(UserError, match="is not JSON"):
        read(tmp_path)
