"""The classes of errors."""

import errno

import tests.servers  # noqa: F401 before gcsfs

# isort: split
import aiohttp
import pytest
import requests
from gcsfs.retry import ChecksumError, HttpError

from hindsight.errors import UserError
from hindsight.transfer_errors import classify, explain_full_disk


class Answered(Exception):
    def __init__(self, status):
        super().__init__("answered")
        self.status = status


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (HttpError({"code": 503, "message": "later"}), "busy"),
        (HttpError({"code": "429", "message": "slowly"}), "busy"),
        (HttpError({"code": 401, "message": "who are you"}), "refused"),
        (Answered(404), "missing"),
        (Answered(416), "refused"),
        (FileNotFoundError("a"), "missing"),
        (TimeoutError(), "busy"),
        (aiohttp.ClientPayloadError("cut"), "busy"),
        (requests.exceptions.ProxyError("502"), "busy"),
        (ChecksumError("md5"), "busy"),
        (aiohttp.ServerDisconnectedError(), "silent"),
        (ConnectionResetError(), "silent"),
        (requests.exceptions.ConnectionError("reset"), "silent"),
        (OSError("Forbidden: b/a"), "refused"),
        (ValueError("Bad Request"), "refused"),
        (OSError(errno.ENOSPC, "full"), "full"),
        (OSError(errno.EFBIG, "too large"), "full"),
    ],
)
def test_every_error_means_one_of_five_things(error, means):
    assert classify(error) == means


def test_a_full_disk_is_explained_and_other_errors_of_the_disk_are_not_hidden(tmp_path):
    with pytest.raises(UserError, match="no room is left in .*No space left.*what has been fetched is kept"):
        with explain_full_disk(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError):
        with explain_full_disk(tmp_path):
            raise PermissionError("no")
