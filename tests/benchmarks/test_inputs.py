"""The verdicts in the table of inputs that users have."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from tests.workflow import runs

sys.path.append(str(runs.ROOT / "benchmarks"))

import chain  # noqa: E402
import inputs  # noqa: E402
import shapes  # noqa: E402
from chain import Outcome  # noqa: E402
from truths import Kind  # noqa: E402


@pytest.fixture
def source():
    """A plain source over the whole globe, its longitudes from Greenwich on."""
    return shapes.plain(np.random.default_rng(0), ("t2m", "msl"), "globe", 6, 24)


@pytest.fixture
def fields(source):
    """The fields that the pipeline should make of it."""
    right = source.truth.transpose("time", "channel", "latitude", "longitude").astype("f4")
    return right.rename("fields").to_dataset().assign(available=("time", np.ones(24, bool)))


def judged(fields, source):
    return chain.judge(fields, shapes.truth_of(source), source.config)


def test_right_fields_are_right_wherever_longitudes_begin(fields, source):
    assert judged(fields, source) == "right"
    turned = fields.assign_coords(longitude=(fields["longitude"] + 180) % 360 - 180).sortby("longitude")
    assert judged(turned, source) == "right"


@pytest.mark.parametrize(("spoil", "says"), [
    (lambda f: f + 0.001, "t2m is"),
    (lambda f: f.roll(longitude=1, roll_coords=False), "in 100% of the values"),
    (lambda f: f.roll(time=1, roll_coords=False), "in 100% of the values"),
    (lambda f: f.isel(channel=[1, 0]).assign_coords(channel=f["channel"].values), "t2m is"),
    (lambda f: f.isel(latitude=slice(None, None, -1)), "the latitudes do not rise"),
    (lambda f: f.isel(latitude=slice(None, None, -1)).assign_coords(latitude=f["latitude"].values), "t2m is"),
    (lambda f: f.isel(latitude=slice(1, None)), "5 latitudes, and not 6"),
    (lambda f: f.isel(longitude=slice(1, None)), "11 longitudes, and not 12"),
    (lambda f: f.assign_coords(longitude=f["longitude"] + 0.01), "longitude 0.01 to"),
    (lambda f: f.assign_coords(longitude=(f["longitude"] + 180) % 360 - 180), "the longitudes do not rise"),
    (lambda f: f.isel(time=slice(1, None)), "no frame at 2023-01-01T00:00 (1 of them)"),
    (lambda f: f.where(f["time"] != f["time"][3]), "t2m is nan"),
])  # fmt: skip
def test_wrong_fields_are_called_wrong(fields, source, spoil, says):
    spoilt = spoil(fields["fields"]).to_dataset(name="fields")
    found = judged(spoilt.assign(available=("time", np.ones(spoilt.sizes["time"], bool))), source)
    assert found.startswith("wrong: ") and says in found


def test_a_masked_frame_counts_as_missing(fields, source):
    available = fields["available"].copy(data=np.arange(24) != 5)
    assert judged(fields.assign(available=available), source) == "wrong: no frame at 2023-01-02T06:00 (1 of them)"


def test_frames_between_the_splits_may_be_missing_but_not_wrong(fields, source):
    source.config["domain"]["train"]["end"] = "2023-01-03"  # ends at 18 UTC: three frames before the validation
    source.config["domain"]["validation"]["start"] = "2023-01-04T12:00"
    between = np.isin(fields["time"].values, chain.frame_times(source.config), invert=True)
    assert between.sum() == 2
    holes = xr.DataArray(between, {"time": fields["time"]})
    assert judged(fields.assign(fields=fields["fields"].where(~holes)), source) == "right"
    assert "t2m is 1 " in judged(fields.assign(fields=fields["fields"].where(~holes, 1.0)), source)


@pytest.mark.parametrize(("kind", "outcomes", "verdict"), [
    (Kind(truth=True), [Outcome(says="no")], "wrong: refused: no"),
    (Kind(truth=True), [Outcome(fault="KeyError: 'time'")], "wrong: KeyError: 'time'"),
    (Kind(refusal=("zip",)), [Outcome(fields=True)], "wrong: taken without a word"),
    (Kind(refusal=("zip",)), [Outcome(says="a.nc is a ZIP file")], "refused in words"),
    (Kind(refusal=("zip", "netCDF")), [Outcome(says="a.nc is a zip")], "wrong: does not say netCDF: a.nc is a zip"),
    (Kind(refusal=("zip",)), [Outcome(says="cannot read {folder}/zip.nc, sorry")], "wrong: does not say zip: cannot"),
    (Kind(truth=True, refusal=("span",)), [Outcome(fields=True)], "right"),
    (Kind(truth=True, refusal=("span",), at_once=False), [Outcome(fields=True)], "wrong: right values, and not a word"),
    (Kind(truth=True, refusal=("span",), setting={"a": 1}), [Outcome(says="span"), Outcome(fields=True)],
     "refused in words"),
    (Kind(truth=True, refusal=("span",), setting={"a": 1}), [Outcome(says="span"), Outcome(says="no")],
     "wrong: refused: no (with {'a': 1})"),
    (Kind(refusal=("span",), setting={"a": 1}, still=("1 h",)), [Outcome(says="span"), Outcome(says="of 1 h")],
     "refused in words"),
    (Kind(refusal=("span",), setting={"a": 1}, still=("1 h",)), [Outcome(says="span"), Outcome(fields=True)],
     "wrong: taken without a word (with {'a': 1})"),
    (Kind(truth=True, refusal=("span",), setting={"a": 1}, still=("1 h",)),
     [Outcome(says="span"), Outcome(fields=True)], "refused in words"),
])  # fmt: skip
def test_a_verdict_follows_from_the_right_answer(tmp_path, monkeypatch, kind, outcomes, verdict):
    monkeypatch.setattr(chain, "judge", lambda fields, truth, config: "right")
    given, configs = iter(outcomes), []

    def run(config, folder):
        configs.append(config)
        one = next(given)
        return Outcome(one.fields, one.says.format(folder=tmp_path), one.fault)

    kind = Kind(**vars(kind) | {"truth": (lambda folder: None) if kind.truth else None})
    assert inputs.attempt(kind, {"b": 2}, tmp_path, run).startswith(verdict)
    assert configs == [{"b": 2}, {"a": 1, "b": 2}][: len(outcomes)]


def test_dates_are_compared_with_their_usual_meaning():
    printed = lambda said: "".join(f"{text:75s} -> {words}\n" for text, words in said.items())
    whole = {text: "REFUSED so" for text, dates in inputs.DATES.items() if dates is None}
    for text, (first, last) in ((text, dates) for text, dates in inputs.DATES.items() if dates):
        whole[text] = f"{first} .. {last}" + ("" if " " in last else " 23:00:00")
    assert inputs.of_what_is_printed("32/printed", printed(whole)) == "right"
    short = whole | {"{start: 2000, end: 2007}": "2000-01-01 00:00:00 .. 2007-12-31 00:00:00"}
    assert inputs.of_what_is_printed("32/printed", printed(short)).startswith("wrong: {start: 2000, end: 2007} -> ")
    taken = whole | {"[2000, 2007]": "2000-01-01 00:00:00 .. 2007-12-31 23:00:00"}
    assert "[2000, 2007] ->" in inputs.of_what_is_printed("32/printed", printed(taken))


def test_refused_units_are_named_except_those_that_no_library_knows():
    assert inputs.of_what_is_printed("09/file", "taken 100\nREFUSED\n  1\n  'ms-1'->m s-1\nWRONG []\n") == "right"
    says = "taken 99\nREFUSED\n  2\n  'J/kg'->m2 s-2\n  'ms-1'->m s-1\nWRONG [\"'degF'->K\"]\n"
    assert inputs.of_what_is_printed("09/file", says) == "wrong: 'J/kg'->m2 s-2, \"'degF'->K\""


def test_memory_of_a_step_is_that_of_its_process(tmp_path):
    script = "import sys, time; more = b'x' * 200_000_000; time.sleep(1.5)"
    with inputs.watched("download.local") as peak:
        subprocess.run([sys.executable, "-c", script, "download.local"], check=True)
    assert 190 < peak[0] < 400  # MiB


REFUSED = """RuleException:
CalledProcessError in file "/x/workflow/rules/download.smk", line 99:
Command 'hindsight download.local' returned non-zero exit status 2.
Error in rule local:
WorkflowError:
At least one job did not complete successfully.
"""


@pytest.mark.parametrize(("printed", "log", "says", "fault"), [
    (REFUSED, "hindsight download.local: a.nc is a zip;\nunzip it\n", "download.local: a.nc is a zip;\nunzip it", ""),
    (REFUSED, "noise\nTraceback (most recent call last):\n  File x\nKeyError: 'time'\n", "", "KeyError: 'time'"),
    ("files are missing: a.nc", "", "files are missing: a.nc", ""),
    ("WildcardError in rule sources in file \"x.smk\", line 50:\nNo values", "", "", "WildcardError in rule sources"),
    ("MissingInputException in rule local:\nMissing input files", "", "", "MissingInputException"),
])  # fmt: skip
def test_a_refusal_is_told_from_a_fault_in_the_output_of_a_failed_run(tmp_path, printed, log, says, fault):
    (tmp_path / "logs/c").mkdir(parents=True)
    (tmp_path / "logs/c/local.log").write_text(log)
    found = chain._refused(tmp_path, printed)
    assert says in found.says and bool(found.says) == bool(says)
    assert found.fault.startswith(fault) and bool(found.fault) == bool(fault)
