"""Objects in a folder, on a web server and in a bucket, read alike."""

import pytest

from hindsight.download.transfer.fetch import in_loop
from hindsight.download.transfer.retry import Trouble
from hindsight.download.transfer.storage import Place
from hindsight.errors import UserError
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
                Place(str(root / "b"), {}, 5.0),
                Place("gs://b", {"endpoint_url": server.url}, 5.0),
                Place(f"{server.url}/b/", {}, 5.0),
            ],
        )


def test_objects_are_read_whole_and_in_part_wherever_they_are(places, tmp_path):
    for place in places[1]:
        assert in_loop(place.read("sub/a")) == b"0123456789" and in_loop(place.read("sub/a", 2, 5)) == b"234"
        in_loop(place.copy("sub/a", tmp_path / "copy"))
        assert (tmp_path / "copy").read_bytes() == b"0123456789"
        assert in_loop(place.about("sub/a"))["size"] == 10 and in_loop(place.takes_ranges("sub/a"))
        with pytest.raises(FileNotFoundError):
            in_loop(place.read("sub/b"))
        with pytest.raises(FileNotFoundError):
            in_loop(place.about("sub/b"))


def test_a_copy_is_one_request_and_is_asked_for_once(places, tmp_path):
    server, (_, google, _) = places
    in_loop(google.copy("sub/a", tmp_path / "copy"))
    assert [served.kind for served in server.log] == ["media"]
    server.fault("sub/a", status=503, times=1)
    with pytest.raises(Trouble) as trouble:
        in_loop(google.copy("sub/a", tmp_path / "copy"))
    assert trouble.value.means == "busy" and len(server.log) == 2


def test_names_of_a_folder_or_none(places):
    folder, google, web = places[1]
    assert in_loop(folder.names("sub")) == in_loop(google.names("sub")) == ["a"]
    assert in_loop(folder.names("none")) == in_loop(google.names("none")) == in_loop(web.names("sub")) == []


def test_a_trouble_of_a_web_server_is_not_taken_for_an_absent_file(places):
    """fsspec says FileNotFoundError, whatever has happened, when it asks for the size."""
    server, (*_, web) = places
    server.stop()
    with pytest.raises(Trouble) as trouble:
        in_loop(web.about("sub/a"))
    assert trouble.value.means == "silent"


def test_what_takes_too_long_is_said_with_the_setting(places):
    server, _ = places
    server.fault("sub/a", stall=2.0)
    with pytest.raises(Trouble, match="not whole after 0.2 s, download.bucket.timeout_seconds"):
        in_loop(Place("gs://b", {"endpoint_url": server.url}, 0.2).read("sub/a"))


def test_neighbours_are_looked_for_as_far_up_as_there_is_something(places):
    server, _ = places
    for url, says in {
        "gs://b/subs/c": "in gs://b there is no subs; did you mean sub",
        "gs://b/sub/aa": "in gs://b/sub there is no aa; known: a",
        "gs://c/sub/a": "no such bucket",
    }.items():
        assert says in in_loop(Place(url, {"endpoint_url": server.url}, 5.0).neighbours()).replace(
            "did you mean a?", "known: a"
        )


def test_a_bucket_is_read_as_a_stranger_unless_the_options_say_otherwise():
    assert Place("gs://b", {}, 5.0).fs.storage_options["token"] == "anon"
    with pytest.raises(UserError, match="there is no key file /no/such/key.json; correct token"):
        Place("gs://b", {"token": "/no/such/key.json"}, 5.0)


def test_a_secret_is_not_told(tmp_path):
    (tmp_path / "key.json").write_text("no key")
    with pytest.raises(
        UserError, match="cannot open gs://b with the options token .JSONDecodeError.; expected"
    ) as error:
        Place("gs://b", {"token": str(tmp_path / "key.json")}, 5.0)
    assert str(tmp_path) not in str(error.value)
