"""Dates as people write them: what each means as a start and as an end, and what is refused in words that help."""

import json
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
import yaml

from hindsight import settings
from hindsight.errors import UserError
from hindsight.fields import intervals
from hindsight.settings import Domain, Download
from hindsight.settings.dates import first, last
from hindsight.settings.domain import Period

NIGHT = "T23:59:59"  # the last second of a day
MEANT = {  # YAML: first and last second
    "2000": ("2000-01-01", "2000-12-31" + NIGHT),
    "'2000'": ("2000-01-01", "2000-12-31" + NIGHT),
    "1999": ("1999-01-01", "1999-12-31" + NIGHT),
    "2000-01": ("2000-01-01", "2000-01-31" + NIGHT),
    "2000-02": ("2000-02-01", "2000-02-29" + NIGHT),
    "1900-2": ("1900-02-01", "1900-02-28" + NIGHT),
    "200002": ("2000-02-01", "2000-02-29" + NIGHT),
    "2000-12": ("2000-12-01", "2000-12-31" + NIGHT),
    "2000-01-02": ("2000-01-02", "2000-01-02" + NIGHT),
    "'2000-01-02'": ("2000-01-02", "2000-01-02" + NIGHT),
    "2000-1-2": ("2000-01-02", "2000-01-02" + NIGHT),
    "20000102": ("2000-01-02", "2000-01-02" + NIGHT),
    "'20000102'": ("2000-01-02", "2000-01-02" + NIGHT),
    "2000-01-02Z": ("2000-01-02", "2000-01-02" + NIGHT),
    "2000-01-02T00:00": ("2000-01-02", "2000-01-02"),
    "2000-01-02T18": ("2000-01-02T18:00:00",) * 2,
    "2000-01-02 18": ("2000-01-02T18:00:00",) * 2,
    "2000-01-02 6:30": ("2000-01-02T06:30:00",) * 2,
    "2000-01-02 18:00:00": ("2000-01-02T18:00:00",) * 2,
    "'2000-01-02 18:00:00'": ("2000-01-02T18:00:00",) * 2,
    "2000-01-02T18:00:00.000": ("2000-01-02T18:00:00",) * 2,
    "'2000-01-02T18:00:00.000'": ("2000-01-02T18:00:00",) * 2,
    "20000102T1800": ("2000-01-02T18:00:00",) * 2,
    "2000-01-02T18:00Z": ("2000-01-02T18:00:00",) * 2,
    "2000-01-02t18:00z": ("2000-01-02T18:00:00",) * 2,
    "2000-01-02T18:00:00Z": ("2000-01-02T18:00:00",) * 2,
    "2000-01-02 18:00:00 UTC": ("2000-01-02T18:00:00",) * 2,
    "2000-01-02T00:30+01:00": ("2000-01-01T23:30:00",) * 2,
    "2000-01-02T22:30-01:30": ("2000-01-03T00:00:00",) * 2,
    "2000-01-02T22:30:00-01:30": ("2000-01-03T00:00:00",) * 2,
    "2000-01-02T05:30+0530": ("2000-01-02",) * 2,
    "2000-01-02T05+05": ("2000-01-02",) * 2,
}


@pytest.mark.parametrize(("text", "meant"), MEANT.items())
def test_dates_are_read_in_every_unambiguous_form(text, meant):
    value = yaml.safe_load(text)
    assert (first(value), last(value)) == tuple(map(datetime.fromisoformat, meant))


def test_dates_of_python_are_days_and_times_exact():
    east = timezone(timedelta(hours=2))
    assert (first(date(2000, 1, 2)), last(date(2000, 1, 2))) == (datetime(2000, 1, 2), datetime(2000, 1, 2, 23, 59, 59))
    assert first(datetime(2000, 1, 2)) == last(datetime(2000, 1, 2)) == datetime(2000, 1, 2)
    assert (
        first(datetime(2000, 1, 2, 2, tzinfo=east)) == first(datetime(2000, 1, 2, tzinfo=UTC)) == datetime(2000, 1, 2)
    )


REFUSED = {
    "01/01/2000": "day before the month or after",
    "1.1.2000": "day before the month or after",
    "31-12-2007": "day before the month or after",
    "2000-01-01T24:00": "00:00 of the next day",
    "2000-13": "is not a date",
    "'2000-00-01'": "is not a date",
    "'2001-02-29'": "is not a date",
    "20000230": "is not a date",
    "Jan 2000": "is not a date",
    "yesterday": "is not a date",
    "2000-01T06": "an hour and no day",
    "2000 06:00": "an hour and no day",
    "2000-01-01T25": "an invalid time of day",
    "2000-01-01T06:61": "an invalid time of day",
    "2000-01-01T06:00 CET": "an invalid time of day",
    "2000-01-01T06:00 +1": "an invalid time of day",
    "2000.5": "is not a date",
    "true": "is not a date",
    "946684800": "is not a date",
    "99": "is not a date",
    "0": "is not a date",
    "''": "is not a date",
    "[2000, 1]": "is not a date",
    "0300": "is not between",
    "1500-01-01": "is not between",
    "2500": "is not between",
    "12:00:00": "is not a date",
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), REFUSED.items())
def test_ambiguous_dates_are_refused_with_the_format(text, says):
    value = "0300" if text == "0300" else yaml.safe_load(text)
    for reads in (first, last):
        with pytest.raises(ValueError, match=says):
            reads(value)
    with pytest.raises(UserError, match=f"domain.test.start: .*{says}"):
        settings.read({"domain": {"test": {"start": value, "end": "2262"}}})


@pytest.mark.parametrize("value", [[2000, 2007], "2000", 2000, "2000/2007"])
def test_a_period_must_name_start_and_end(value):
    with pytest.raises(UserError, match="domain.test: is not a period; write {start"):
        settings.read({"domain": {"test": value}})


WHOLE = {"train": {"start": 2000, "end": 2003}, "validation": {"start": "2004-01", "end": "2004-06"},
         "test": {"start": "2004-07-01", "end": "2004-07-03"}}  # fmt: skip


@pytest.mark.parametrize(
    ("step", "last_frame", "frames"), [(24, "2004-07-03T00", 3), (6, "2004-07-03T18", 12), (1, "2004-07-03T23", 72)]
)
def test_an_end_given_as_a_day_includes_all_its_frames(step, last_frame, frames):
    domain = Domain.model_validate(WHOLE | {"step_hours": step})
    axis = intervals.time_axis(domain)
    assert axis[-1] == np.datetime64(last_frame)
    request = Download.model_validate({"periods": [WHOLE["test"]], "step_hours": step, "part_frames": 1000})
    assert [cut.frames for cut in intervals.parts(request)] == [frames]


def test_periods_that_follow_each_other_by_days_months_or_years_do_not_overlap():
    assert Domain.model_validate(WHOLE).validation.end == datetime(2004, 6, 30, 23, 59, 59)
    with pytest.raises(ValueError, match="overlap"):
        Domain.model_validate(WHOLE | {"validation": {"start": 2003, "end": 2003}})


def test_a_missing_day_includes_all_its_times():
    given = ["2000-01-02", "2000-01-05T06:00", {"start": 2001, "end": "2001-02"}]
    download = Download.model_validate({"missing": [*given, date(2000, 3, 1), 2002]})
    for time, lacks in (
        ((2000, 1, 1, 23), 0),
        ((2000, 1, 2), 1),
        ((2000, 1, 2, 18), 1),
        ((2000, 1, 3), 0),
        ((2000, 1, 5, 6), 1),
        ((2000, 1, 5, 12), 0),
        ((2001, 2, 28, 18), 1),
        ((2001, 3, 1), 0),
        ((2000, 3, 1, 21), 1),
        ((2002, 12, 31, 18), 1),
    ):
        assert download.may_be_missing(datetime(*time)) == lacks, time


def world(start, end, **domain):
    synthetic = {"start": start, "end": end, "step_hours": 6}
    return settings.read(
        {"domain": {**WHOLE, "step_hours": 6, **domain}, "download": {"source": "synthetic", "synthetic": synthetic}}
    )


@pytest.mark.parametrize("end", ["2004-07-03", "2004-07-03T18:00", "2004-07-03T23:00", "2004-07", 2004])
def test_a_last_day_needs_only_frames_that_the_built_in_world_has(end):
    from hindsight.download import synthetic

    chosen = world(2000, end)
    made = synthetic.times(chosen.download.synthetic)
    assert set(intervals.time_axis(chosen.domain)) <= set(made.values) and made[-1] == chosen.download.synthetic.last


@pytest.mark.parametrize(("start", "end"), [(2000, "2004-07-03T12:00"), (2000, "2004-07-02"), ("2000-01-02", 2004)])
def test_a_world_that_lacks_a_frame_is_refused(start, end):
    with pytest.raises(UserError, match="outside the built-in world"):
        world(start, end)


@pytest.mark.parametrize("stage", [*settings.STAGE_SECTIONS, "configuration"])
def test_times_survive_the_settings_files_of_stages(stage, tmp_path):
    chosen = settings.read({
        "domain": WHOLE | {"step_hours": 6},
        "product": {"epoch": 2004}, "verify": {"storm": "2004-07-02T06"},
        "download": {"source": "bucket", "bucket": {"url": "a.zarr"}, "periods": [{"start": 2000, "end": 2004}],
                     "epoch": "1999", "missing": ["2000-01-02", 2001],
                     "synthetic": {"start": 1990, "end": 2010}}})  # fmt: skip
    text = settings.stage_settings(chosen, stage)
    sections = json.loads(text)
    if stage == "configuration":
        assert settings.read(sections) == chosen and settings.stage_settings(settings.read(sections), stage) == text
        return
    file = tmp_path / "s.json"
    file.write_text(text)
    for name in sections:
        (loaded,) = settings.load(file, [settings.SECTIONS[name]])
        assert loaded.model_dump(mode="json") == sections[name]


def test_a_period_of_times_is_itself():
    period = Period(start=datetime(2000, 1, 1), end=datetime(2000, 1, 1))
    assert Period.model_validate(period.model_dump()) == Period.model_validate_json(period.model_dump_json()) == period
