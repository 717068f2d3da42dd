"""The fuzz of sources is reproducible and judges correctly."""

import sys

import numpy as np
import pytest
import xarray as xr

from tests.workflow import runs

sys.path.append(str(runs.ROOT / "benchmarks"))

import chain  # noqa: E402
import fuzz  # noqa: E402
import mutations  # noqa: E402
import shapes  # noqa: E402

QUICK = 20  # sources


def files(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "data").rglob("*")) if path.is_file()}


def test_a_source_is_a_function_of_its_name(tmp_path):
    for name in ("1-2", "7-13"):
        one, other = fuzz.make(name), fuzz.make(name)
        assert one[1] == other[1] and one[0].truth.identical(other[0].truth) and one[0].config == other[0].config
        for number, part in enumerate(one[0].parts):
            xr.testing.assert_identical(part.dataset, other[0].parts[number].dataset)
    assert (
        fuzz.make("1-2")[0].truth.shape != fuzz.make("1-3")[0].truth.shape or fuzz.make("1-2")[1] != fuzz.make("1-3")[1]
    )


@pytest.mark.parametrize("change", [c for group in mutations.GROUPS.values() for c in group], ids=lambda c: c.__name__)
def test_every_mutation_fits_some_source_and_changes_it(change, tmp_path):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        source, plain = (shapes.plain(np.random.default_rng([seed, 1]), frames=24) for _ in range(2))
        try:
            if change in mutations.GROUPS["changes"]:
                (mutations.a_file_a_time if seed % 2 else mutations.a_file_a_variable)(source, rng)
            change(source, rng)
        except mutations.Unfit:
            continue
        shapes.write(source, tmp_path / "changed")
        shapes.write(plain, tmp_path / "plain")
        assert files(tmp_path / "changed") != files(tmp_path / "plain") or source.config != plain.config
        return
    pytest.fail("it fits none of forty sources")


def test_a_plain_source_agrees_with_its_truth():
    source = shapes.plain(np.random.default_rng(3), ("z500", "t2m"), "europe", 24, 20)
    (part,) = source.parts
    assert part.dataset["latitude"][0] > part.dataset["latitude"][-1]  # as the Climate Data Store has them
    for channel, field in (("z500", part.dataset["z"].sel(level=500)), ("t2m", part.dataset["t2m"])):
        right = source.truth.sel(channel=channel)
        np.testing.assert_array_equal(field.sel(latitude=right["latitude"].values).values, right.values)


@pytest.mark.parametrize("form", sorted(shapes.FORMS))
def test_every_form_of_sums_has_the_same_rain(form):
    source = shapes.rain(np.random.default_rng(5), form, 6)
    hourly = shapes.rain(np.random.default_rng(5), "hourly_unstated", 6).parts[0].dataset["tp"].astype(float)
    for time in source.truth["time"].values:
        hours = hourly.sel(time=slice(time - np.timedelta64(5, "h"), time)).sortby("latitude")
        assert hours.sizes["time"] == 6
        np.testing.assert_allclose(source.truth.sel(time=time)[0].values, hours.sum("time").values, rtol=1e-6)
    (name,) = source.variables
    kept = source.parts[0].dataset[name].sortby("latitude")
    if form.startswith("running"):  # at midnight the day before, at one o'clock an hour
        days = hourly.sortby("latitude").sel(time=slice("2023-01-02T01", "2023-01-03T00")).sum("time")
        np.testing.assert_allclose(kept.sel(time="2023-01-03T00:00"), days, rtol=1e-6)
        one = hourly.sortby("latitude").sel(time="2023-01-03T01:00")
        np.testing.assert_allclose(kept.sel(time="2023-01-03T01:00"), one, rtol=1e-6)
    if form.startswith("halves"):
        first, second = (kept.sel(time=source.truth["time"].values - np.timedelta64(3 * k, "h")).values for k in (1, 0))
        np.testing.assert_allclose(first + second, source.truth[0], rtol=1e-6)
    if form.startswith("spans"):
        np.testing.assert_allclose(kept.sel(time=source.truth["time"]), source.truth[0], rtol=1e-6)


@pytest.mark.parametrize(("expected", "outcome", "verdict"), [
    ("right", chain.Outcome(says="no"), "needless"),
    ("either", chain.Outcome(says="no"), "refused"),
    ("refused", chain.Outcome(says="no"), "refused"),
    ("refused", chain.Outcome(fields="right"), "taken"),
    ("either", chain.Outcome(fields="right"), "right"),
    ("right", chain.Outcome(fields="wrong"), "wrong"),
    ("refused", chain.Outcome(fault="KeyError"), "fault"),
])  # fmt: skip
def test_a_verdict_follows_from_the_expected_result(expected, outcome, verdict):
    source = shapes.plain(np.random.default_rng(0), ("t2m", "msl"), "europe", 6, 24)
    source.may(expected)
    right = source.truth.transpose("time", "channel", ...).rename("fields").to_dataset()
    fields = right.assign(available=("time", np.ones(24, bool)))
    given = {"right": fields, "wrong": fields + 1, None: None}[outcome.fields]
    assert fuzz.judge(source, chain.Outcome(given, outcome.says, outcome.fault))[0] == verdict


def failed(found):
    """The names of the failures, to try one alone: python benchmarks/fuzz.py --only SEED-NUMBER."""
    return [one.line for one in found if one.verdict in fuzz.FAILURES]


def test_mutated_sources_give_right_values_or_are_refused():
    found = [fuzz.attempt(f"1-{number}") for number in range(QUICK)]
    assert failed(found) == []
    verdicts = [one.verdict for one in found]
    assert verdicts.count("right") > QUICK / 3 and verdicts.count("needless") <= QUICK / 20


@pytest.mark.slow
def test_a_thousand_mutated_sources_give_right_values_or_are_refused():
    found = [fuzz.attempt(f"3-{number}") for number in range(1000)]
    assert failed(found) == []
    assert sum(one.verdict == "needless" for one in found) <= 20
