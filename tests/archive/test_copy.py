"""Copies at another place: on a server that behaves like a bucket, in a folder, in memory."""

import json
import re

import fsspec
import numpy as np
import pytest
import xarray as xr

from hindsight.archive import copy, observations
from hindsight.errors import UserError
from hindsight.settings import Archive
from tests.archive.test_observations import sections, tables
from tests.servers import bucket


@pytest.fixture
def server(tmp_path):
    (tmp_path / "buckets/mine").mkdir(parents=True)
    with bucket.Server(tmp_path / "buckets") as found:
        yield found


def send(small, url="gs://mine/a", **options):
    documents = [small.result, small.provenance]
    target = {"url": url, "options": options}
    marker = small.folder / "observations.json"
    observations.run(
        *sections(2), feedback=tables(small.folder / "from"), folder=small.folder / "feedback", marker=marker
    )
    copy.run(Archive(copy_to=target), layout=small.layout, markers=small.markers, documents=documents,
             tables=[marker], archive=small.archive, marker=small.folder / "copy.json")  # fmt: skip


def options(server):
    return {"token": "anon", "endpoint_url": server.url, "skip_instance_cache": True}


def test_a_copy_in_a_bucket_opens_from_there_with_the_same_values(small, server):
    send(small, **options(server))
    for group in (None, "mean", "spread"):
        there = xr.open_zarr("gs://mine/a/reanalysis.zarr", group=group, storage_options=options(server)).load()
        xr.testing.assert_identical(there, xr.open_zarr(small.archive, group=group).load())
    for name, (content, *_) in small.objects().items():
        assert (server.root / "mine/a/reanalysis.zarr" / name).read_bytes() == content


def test_objects_go_first_the_root_after_them_and_the_check_last(small, server):
    send(small, **options(server))
    sent = [name.removeprefix("mine/a/") for name in server.sent()]
    data = [k for k, name in enumerate(sent) if re.search(r"(z500|msl)/c/", name)]
    metadata = [k for k, name in enumerate(sent) if name.startswith("reanalysis.zarr") and k not in data]
    assert max(data) < min(metadata) and sent[max(metadata)] == "reanalysis.zarr/zarr.json"
    assert sent[-1] == "check.json" and len(sent) == len(set(sent)) == len(small.objects()) + 3 + 3 + 3
    for marker in small.markers:  # a marker follows its objects
        objects = json.loads(marker.read_text())["objects"]
        assert sent.index(f"shards/{marker.name}") > max(sent.index(f"reanalysis.zarr/{name}") for name in objects)


def test_a_second_copy_sends_nothing_and_a_longer_archive_only_its_new_objects(small, server):
    send(small, **options(server))
    first = len(server.sent())
    send(small, **options(server))
    assert len(server.sent()) == first
    small.end, small.members = "2009-02-04T12:00", 6
    small.make()
    send(small, **options(server))
    more = {name.removeprefix("mine/a/") for name in server.sent()[first:]}
    kept = {
        f"reanalysis.zarr/{name}/c/{block}/{shard}/0/0"
        for name in ("z500", "msl")
        for block in (0, 1)
        for shard in (0, 1)
    }
    assert not more & kept and "reanalysis.zarr/z500/c/2/0/0/0" in more and "reanalysis.zarr/zarr.json" in more
    assert xr.open_zarr("gs://mine/a/reanalysis.zarr", storage_options=options(server)).sizes["time"] == 35


def test_an_interrupted_copy_is_incomplete_and_can_continue(small, server):
    fault = server.fault(r"z500/c/0/1/0/0", status=403, times=-1)
    with pytest.raises(UserError, match="cannot copy the archive to gs://mine/a .*files that have arrived are kept"):
        send(small, **options(server))
    there = server.root / "mine/a"
    assert not (there / "reanalysis.zarr/zarr.json").exists() and not (there / "check.json").exists()
    assert not (small.folder / "copy.json").exists()
    fault.times, before = 0, server.sent()
    send(small, **options(server))
    assert len(server.sent()) == len(set(server.sent())) and set(before) < set(server.sent())  # nothing twice


def test_a_truncated_or_changed_object_at_the_destination_is_sent_again(small, server):
    server.fault(r"mean/msl/c/1/0/0", short=0.5)
    with pytest.raises(UserError, match=r"gs://mine/a lacks reanalysis.zarr/mean/msl/c/1/0/0 \(1 files\)"):
        send(small, **options(server))
    send(small, **options(server))
    path = server.root / "mine/a/reanalysis.zarr/spread/z500/c/0/0/0"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # of the same length
    send(small, **options(server))
    assert path.read_bytes() == whole


def test_another_recipe_at_the_destination_is_refused_with_the_differences(small, server):
    send(small, **options(server))
    before = len(server.sent())
    small.said["prior"], small.archive_settings["replace"] = "cd" * 32, True
    small.make()
    with pytest.raises(UserError, match="prior: abababababab… in the archive, cdcdcdcdcdcd… now"):
        send(small, **options(server))
    assert len(server.sent()) == before


def test_damage_is_not_copied(small, server):
    victim = small.archive / "z500/c/1/1/0/0"
    victim.write_bytes(victim.read_bytes()[::-1])
    with pytest.raises(UserError, match="z500/c/1/1/0/0 is damaged, and was not copied"):
        send(small, **options(server))
    assert not (server.root / "mine/a/reanalysis.zarr/zarr.json").exists()


@pytest.mark.parametrize("url", ["file://{folder}/x/y", "{folder}/x/y", "memory://x"])
def test_a_copy_to_any_file_system_of_fsspec(small, url):
    url = url.format(folder=small.folder)
    send(small, url)
    found = xr.open_zarr(f"{url}/reanalysis.zarr").load()
    np.testing.assert_array_equal(found["msl"], xr.open_zarr(small.archive)["msl"])
    system, root = fsspec.core.url_to_fs(url)
    name = f"{root}/reanalysis.zarr/msl/c/0/0/0/0"
    system.pipe_file(name, b"short")
    send(small, url)
    assert system.cat_file(name) == (small.archive / "msl/c/0/0/0/0").read_bytes()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense://x", "Protocol not known"),
        ("gs://nowhere/a", "gs://nowhere/a"),
        ("file:///proc/x", "file:///proc/x"),
    ],
)
def test_an_unusable_destination_is_a_clear_error(small, server, url, says):
    with pytest.raises(UserError, match=f"cannot copy the archive to .*{says}.*check archive.copy_to"):
        send(small, url, **(options(server) if url.startswith("gs") else {}))
