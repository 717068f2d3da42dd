"""Credentials: in one file that its owner alone reads, and in nothing else that is written or said."""

import json
import os
import stat
import subprocess
import sys

import pytest

from hindsight import cli, settings
from hindsight.errors import UserError
from hindsight.settings import Download, Settings, credentials
from hindsight.settings.credentials import HIDDEN, NAME, Credential

SECRET, OTHER, NUMBER = "s3cr3t-of-the-source", "s3cr3t-of-the-copy", 918273645
ADDRESSES = {
    "endpoint_url": "http://there:8000/x",
    "signed": f"https://there/x?sig={OTHER}",
    "own": f"s3://a:{OTHER}@b",
}
CONFIG = {
    "download": {
        "source": "bucket",
        "bucket": {"url": "s3://private/store.zarr", "options": {"secret": SECRET, "pin": NUMBER, "anon": False}},
    },
    "archive": {"copy_to": {"url": "s3://mine/there", "options": {"secret": OTHER, "token": "anon", **ADDRESSES}}},
}
STAGES = [*settings.STAGE_SECTIONS, "configuration"]
secret = lambda text: any(str(value) in text for value in (SECRET, OTHER, NUMBER))


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """What a test makes this process know is forgotten after it."""
    monkeypatch.setattr(credentials, "_values", set())
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture
def chosen():
    return settings.read(CONFIG)


@pytest.fixture
def file(chosen, tmp_path):
    """The settings file of the download, its credentials beside it."""
    path = tmp_path / "resources/download.json"
    credentials.write({"download": settings.download_request(chosen)}, path.parent)
    path.write_text(settings.stage_settings(chosen, "download"))
    return path


def test_credentials_are_in_no_settings_file_or_text(chosen):
    for text in [settings.stage_settings(chosen, stage) for stage in STAGES]:
        assert not secret(text)
    assert not secret(repr(chosen)) and not secret(f"{chosen}") and not secret(chosen.model_dump_json())
    shown = json.loads(settings.stage_settings(chosen, "configuration"))["download"]["bucket"]["options"]
    assert shown == {"secret": HIDDEN, "pin": HIDDEN, "anon": False}
    shown = json.loads(settings.stage_settings(chosen, "archive"))["archive"]["copy_to"]["options"]
    assert (shown["token"], shown["endpoint_url"]) == ("anon", ADDRESSES["endpoint_url"])
    assert shown["signed"] == shown["own"] == HIDDEN


def test_every_option_of_a_library_may_be_a_credential():
    """A new dictionary of options is found by itself, whatever section it is in."""
    found = []

    def look(section):
        for name, field in section.model_fields.items():
            kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
            for kind in kinds:
                if isinstance(kind, type) and hasattr(kind, "model_fields"):
                    look(kind)
            if name in ("options", "token", "password", "secret", "key", "headers"):
                found.append((name, field.annotation))

    look(Settings)
    assert found == [("options", dict[str, Credential])] * 3


def test_the_step_gets_them_and_only_their_owner_may_read_them(chosen, file):
    assert stat.S_IMODE((file.parent / NAME).stat().st_mode) == 0o600
    (download,) = settings.load(file, [Download])
    assert download == settings.download_request(chosen).model_copy(update={"periods": [], "missing": []})
    assert download.bucket.options == CONFIG["download"]["bucket"]["options"]
    assert [path.name for path in file.parent.iterdir() if secret(path.read_text())] == [NAME]


def test_credentials_do_not_reach_the_file_of_another_section(chosen, file, tmp_path):
    credentials.write({"archive": chosen.archive}, tmp_path / "results")
    manifest = tmp_path / "results/manifest.json"
    manifest.write_text(settings.stage_settings(chosen, "manifest"))
    (download,) = settings.load(manifest, [Download])
    assert set(download.bucket.options.values()) == {HIDDEN, False}
    with pytest.raises(UserError, match="options: pin, secret is not known here.*run this step by snakemake"):
        credentials.check(download.bucket.options, "download.bucket.options")


def test_without_credentials_the_file_is_deleted(file):
    credentials.write({"download": Settings().download}, file.parent)
    assert not (file.parent / NAME).exists()


def test_credentials_of_another_user_are_a_clear_error(file, monkeypatch):
    (file.parent / NAME).write_text("{")
    with pytest.raises(UserError, match="cannot read the credentials .*snakemake"):
        settings.load(file, [Download])


def test_a_new_credential_changes_no_settings_file(chosen):
    """So that nothing is fetched again."""
    changed = json.loads(json.dumps(CONFIG).replace(SECRET, "another"))
    for stage in STAGES:
        assert settings.stage_settings(settings.read(changed), stage) == settings.stage_settings(chosen, stage)


@pytest.mark.parametrize(
    "wrong",
    [
        {"download": {"bucket": {"options": {"secret": [SECRET]}}}},
        {"download": {"bucket": {"options": SECRET}}},
        {"download": {"bucket": {"secret": SECRET}}},
        {"download": {"token": SECRET}},
        {"archive": {"copy_to": {"password": SECRET}}},
        {"token": SECRET},
    ],
)
def test_errors_of_the_configuration_print_no_credential(wrong):
    with pytest.raises(UserError) as error:
        settings.read(wrong)
    assert not secret(str(error.value)) and ("options" in str(error.value) or "no such setting" in str(error.value))


FAULTS = {
    "a sentence": "raise UserError(f'the server refuses {key}')",
    "a traceback": "raise ValueError(f'bad key {key}')",
    "a print": "print('using', key); print('using', key, file=sys.stderr); raise ValueError('x')",
    "a warning": "import warnings; warnings.warn(f'odd key {key}'); raise ValueError('x')",
    "a log": "import logging; logging.warning('odd key %s', key); raise ValueError('x')",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_failing_step_prints_no_credential(file, tmp_path, fault):
    """In a process of its own, as a job: what it prints, its traceback, and what followers of its progress see."""
    script = f"""
import sys
from hindsight import cli
from hindsight.errors import UserError
from hindsight.settings import Download

def run(settings: Download, *, marker: str) -> None:
    key = settings.bucket.options["secret"]
    assert key == {SECRET!r}
    {fault}

cli._step = lambda name: run
sys.exit(cli.main(["download.bucket", "--settings", {str(file)!r}, "--marker", "m"]))
"""
    progress = tmp_path / "progress"
    environment = {"HINDSIGHT_PROGRESS": str(progress)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode in (1, 2) and "assert" not in done.stderr
    assert not secret(done.stdout + done.stderr + progress.read_text()), done.stderr
    assert HIDDEN in done.stdout + done.stderr or "ValueError: x" in done.stderr


def test_texts_keep_paths_of_key_files_and_words_too_short_to_be_looked_for(tmp_path):
    key = tmp_path / "key"
    key.touch()
    credentials.remember({"a": {"token": "my/key.json", "file": str(key), "one": 1, "yes": True, "token2": "anon"}})
    text = f"1 anon True my/key.json {key}"
    assert credentials.scrub(text) == text
    credentials.remember({"b": {"token": "abcd", "longer": "abcdef"}})
    assert credentials.scrub("abcdef, abcd") == f"{HIDDEN}, {HIDDEN}"


def test_what_is_printed_when_a_step_is_over_is_left_alone(file, capsys):
    credentials.remember({"token": SECRET})
    with credentials.hide():
        print(SECRET)
        print(SECRET, file=sys.stderr)
    print(SECRET)
    found = capsys.readouterr()
    assert found.out == f"{HIDDEN}\n{SECRET}\n" and found.err == f"{HIDDEN}\n"


def test_error_messages_of_the_command_line_have_no_credential(monkeypatch, capsys):
    credentials.remember({"token": SECRET})
    cli._say(f"refused: {SECRET}")
    assert capsys.readouterr().err == f"refused: {HIDDEN}\n"
