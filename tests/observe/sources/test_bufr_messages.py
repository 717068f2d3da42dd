"""The process that decodes messages: it answers one by one; a fault of the process is none of a message."""

import io
import pickle
import sys

import pytest

from hindsight.errors import UserError
from hindsight.observe.sources import bufr, bufr_messages
from tests.observe.sources import real

SYNOP = "obs_synop_bufr/synop_europe_20181120_12z.bufr"


def messages(count):
    return bufr._split(real.file(SYNOP).read_bytes())[:count]


def answers(monkeypatch, given):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pickle.dumps(given))))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written))
    bufr_messages.main()
    written.seek(0)
    return [pickle.load(written) for _ in range(len(given) + 1)]


def test_every_message_has_an_answer(monkeypatch):
    first, second = messages(2)
    found = answers(monkeypatch, [first, b"BUFR no message 7777", second])
    assert found[0] == bufr_messages.READY and "cannot decode" in found[2]
    assert found[1][0]["pressure"] != found[3][0]["pressure"] and found[1][0]["category"] == bufr_messages.LAND


def test_a_message_that_ends_the_process_costs_itself(tmp_path, monkeypatch):
    """A program that ends itself where a message says so stands for ecCodes on a damaged one."""
    program = tmp_path / "decode.py"
    program.write_text(
        "import os, pickle, signal, sys\n"
        "for each in ['ready', *pickle.load(sys.stdin.buffer)]:\n"
        "    if each == b'crash': os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    pickle.dump(each, sys.stdout.buffer); sys.stdout.buffer.flush()\n"
    )
    monkeypatch.setattr(bufr_messages, "__file__", str(program))
    monkeypatch.setattr(bufr, "_split", lambda raw: [b"a", b"crash", b"b", None, b"crash"])
    crashed = "on which ecCodes crashes"
    assert bufr._messages(b"") == [b"a", crashed, b"b", crashed, "without their end"]


def test_a_process_that_does_not_start_is_no_fault_of_the_messages(tmp_path, monkeypatch):
    (tmp_path / "decode.py").write_text("raise ImportError('no ecCodes here')\n")
    monkeypatch.setattr(bufr_messages, "__file__", str(tmp_path / "decode.py"))
    with pytest.raises(UserError, match="does not start .*no ecCodes here"):
        bufr._messages(messages(1)[0])
