"""Objects in a folder, on a web server and in a bucket, read alike."""

import pytest

from hindsight.download.transfer.fetch import run_async
from hindsight.errors import UserError
from hindsight.storage import Storage
from hindsight.transfer_errors import TransferError
from tests.servers.gcs import Server


@pytest.fixture
def root(tmp_path):
    (tmp_path / "b/sub").mkdir(parents=True)
    (tmp_path / "b/sub/a").write_bytes(b"0123456789")
    return tmp_path


@pytest.fixture
def places(root):
    with Server(root) as server:
        yield (
            server,
            [
                Storage(str(root / "b"), {}, 5.0),
                Storage("gs://b", {"endpoint_url": server.url}, 5.0),
                Storage(f"{server.url}/b/", {}, 5.0),
            ],
        )


def test_objects_are_read_whole_and_in_part_wherever_they_are(places, tmp_path):
    for storage in places[1]:
        assert run_async(storage.read("sub/a")) == b"0123456789" and run_async(storage.read("sub/a", 2, 5)) == b"234"
        run_async(storage.copy("sub/a", tmp_path / "copy"))
        assert (tmp_path / "copy").read_bytes() == b"0123456789"
        assert run_async(storage.info("sub/a"))["size"] == 10 and run_async(storage.accepts_ranges("sub/a"))
        with pytest.raises(FileNotFoundError):
            run_async(storage.read("sub/b"))
        with pytest.raises(FileNotFoundError):
            run_async(storage.info("sub/b"))


def test_a_copy_is_one_request(places, tmp_path):
    server, (_, google, _) = places
    run_async(google.copy("sub/a", tmp_path / "copy"))
    assert [served.kind for served in server.log] == ["media"]
    server.fault("sub/a", status=503, times=1)
    with pytest.raises(TransferError) as error:
        run_async(google.copy("sub/a", tmp_path / "copy"))
    assert error.value.kind == "busy" and len(server.log) == 2


def test_names_in_a_folder(places):
    folder, google, web = places[1]
    assert run_async(folder.list_names("sub")) == run_async(google.list_names("sub")) == ["a"]
    assert (
        run_async(folder.list_names("none"))
        == run_async(google.list_names("none"))
        == run_async(web.list_names("sub"))
        == []
    )


def test_an_error_of_a_web_server_is_not_taken_for_a_missing_file(places):
    """fsspec says FileNotFoundError, whatever has happened, when it asks for the size."""
    server, (*_, web) = places
    server.stop()
    with pytest.raises(TransferError) as error:
        run_async(web.info("sub/a"))
    assert error.value.kind == "silent"


def test_a_timeout_is_reported_with_its_setting(places):
    server, _ = places
    server.fault("sub/a", stall=2.0)
    with pytest.raises(TransferError, match="not complete after 0.2 s, download.bucket.timeout_seconds"):
        run_async(Storage("gs://b", {"endpoint_url": server.url}, 0.2).read("sub/a"))


def test_the_nearest_names_come_from_the_nearest_folder_that_exists(places):
    server, _ = places
    for url, says in {
        "gs://b/subs/c": "in gs://b there is no subs; did you mean sub",
        "gs://b/sub/aa": "in gs://b/sub there is no aa; known: a",
        "gs://c/sub/a": "no such bucket",
    }.items():
        assert says in run_async(Storage(url, {"endpoint_url": server.url}, 5.0).nearest_names()).replace(
            "did you mean a?", "known: a"
        )


def test_a_bucket_is_read_anonymously_unless_the_options_say_otherwise():
    assert Storage("gs://b", {}, 5.0).fs.storage_options["token"] == "anon"
    with pytest.raises(UserError, match="there is no key file /no/such/key.json; correct token"):
        Storage("gs://b", {"token": "/no/such/key.json"}, 5.0)


def test_a_secret_is_not_shown(tmp_path):
    (tmp_path / "key.json").write_text("no key")
    with pytest.raises(
        UserError, match="cannot open gs://b with the options token .JSONDecodeError.; expected"
    ) as error:
        Storage("gs://b", {"token": str(tmp_path / "key.json")}, 5.0)
    assert str(tmp_path) not in str(error.value)
