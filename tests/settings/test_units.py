"""Units as people spell them: right factors, by a table written by hand, by Pint's own definitions, and by UDUNITS."""

import random

import pytest

from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.units import conversion, precipitation_rate, readable_units, unify

C, F, G = (1.0, 273.15), (5 / 9, 459.67 * 5 / 9), 9.80665
RIGHT = {  # by the wanted units: factor, or factor and offset, of all that follow
    "K": {
        1: "K;Kelvin;kelvin;kelvins;Kelvins;deg_K;degK;degree_Kelvin;degrees K;degree K;[K];K ",
        C: "degC;C;celsius;Celsius;degrees_celsius;degree_Celsius;degree_C;degrees_C;deg C;deg_C;°C;ºC;℃;degrees C;"
        "degreesC;degrees Celsius;DEGREES_CELSIUS",
        F: "degF;°F;F;degrees_fahrenheit;Fahrenheit;deg F",
        None: "K/day;K s-1;K m;J;degree;radian;degrees;degree_north;mK m-1;Celcius;k",
    },
    "Pa": {
        1: "Pa;Pascals;Pascal;pascals;N m-2;N/m2;N/m**2;J m-3;kg m-1 s-2;[Pa]",
        100: "hPa;mb;mbar;millibar;millibars;hectopascal;hectopascals;Hectopascals;100 Pa;1e2 Pa;10^2 Pa",
        1000: "kPa;cbar;1000 Pa",
        1e5: "bar",
        101325: "atm",
        133.322387415: "mmHg",
        None: "hPa/s;Pa s-1;m;PA;pa;kg;0 Pa;Pa Pa;-1 Pa",
    },
    "m s-1": {
        1: "m/s;m s**-1;m s^-1;m.s-1;m/sec;m sec-1;meters/second;meter second-1;metre per second;ms-1;m*s**-1;m s⁻¹;"
        "m·s⁻¹;m s^{-1};$m s^{-1}$;m_s-1;meters per second;ms^-1;ms**-1;(m/s)",
        1852 / 3600: "knots;kt;knot;kts",
        1 / 3.6: "km/h;km h-1;km hr-1;kilometers per hour",
        0.01: "cm/s;cm s-1",
        None: "m;s;m/s2;m s-2;m2 s-1;1/s;Pa s-1",
    },
    "m2 s-2": {
        1: "m**2 s**-2;m^2 s^-2;m2/s2;m2/s^2;m2.s-2;m**2/s**2;J/kg;J kg-1;J kg**-1;m²/s²;m² s⁻²;m2 s**-2;(m2)/(s2)",
        G: "gpm;m;meters;geopotential meters;geopotential meter;Geopotential metre;metre",
        10 * G: "dam;gpdam;10 m;10 gpm;decametres",
        1000 * G: "km;gpkm",
        1000: "kJ/kg",
        None: "m s-1;J;m2;m2 s-1;kg m-2",
    },
    "kg kg-1": {
        1: "kg kg**-1;kg/kg;1;kg kg^-1;dimensionless;g/g;kg kg⁻¹",
        1e-3: "g/kg;g kg**-1;g kg-1;g.kg-1;grams/kg;1e-3 kg kg-1;1e-3;0.001;g kg^{-1};10^-3 kg kg-1",
        1e-6: "mg/kg;mg kg-1;1e-6 kg kg-1",
        None: "%;percent;kg m-3;kg;ppm;m/m;m3 m-3;g/kg/s;(0 - 1);-;kg kg-1 s-1",
    },
    "%": {
        1: "%;percent;Percent;1e-2;0.01",
        100: "(0 - 1);1;0-1;0 - 1;(0-1);[0, 1];fraction;dimensionless",
        None: "kg kg-1;g/kg;K;-;;~;unknown;0-2;degree",
    },
    "m": {
        1: "m;metre;metres;meters;meter;m of water equivalent;m of water;m w.e.;Meters;m3 m-2;m**3 m**-2",
        1e-3: "mm;kg m**-2;kg m-2;kg/m2;kg/m^2;kg m^-2;millimeters;mm of water;millimetres;kg m⁻²;mm w.e.;"
        "kg_m-2;kilogram per square metre;1e-3 m;10^-3 m;1.e-3 m",
        1e-4: "0.1 mm",
        1e-2: "cm;g cm-2",
        0.0254: "inches;in;inch",
        None: "mm/day;kg m-2 s-1;gpm;gpdam;m s-1;kg;1;m2 s-2;mm h-1",
    },
    "Pa s-1": {
        1: "Pa s**-1;Pa/s;Pa s^-1;Pascals/s;Pa sec-1",
        100: "hPa s-1;hPa/s;mb/s",
        1 / 36: "hPa/h;hPa hour-1;mb h-1",
        None: "m s-1;Pa;Pa s",
    },
    "kg m-2": {
        1: "kg m**-2;kg/m2;kg/m^2;kg m^-2;mm;mm of water",
        10: "g cm-2;cm",
        1000: "m of water equivalent;m",
        None: "kg m-3;kg;kg m-2 s-1;gpm",
    },
    "1": {1: "1;;-;~;unknown;dimensionless;none;(0 - 1)", 0.01: "%", None: "s-1;kg kg-1;K;m/m"},
}
ASKED = [
    (given, wanted, (right, 0.0) if isinstance(right, int | float) else right)
    for wanted, spellings in RIGHT.items()
    for right, text in spellings.items()
    for given in text.split(";")
]  # fmt: skip


@pytest.mark.parametrize(("given", "wanted", "right"), ASKED)
def test_every_spelling_has_its_factor(given, wanted, right):
    found = conversion(given, wanted)
    assert found == (None if right is None else pytest.approx(right, rel=1e-12))


def test_factors_that_are_short_are_exact():
    """A conversion by 1 is left out; a factor that is off by rounding would cost a pass over all values."""
    for given, wanted, right in (
        ("hPa", "Pa", 100.0),
        ("m/s", "m s-1", 1.0),
        ("g/kg", "kg kg-1", 1e-3),
        ("J/kg", "m2 s-2", 1.0),
    ):
        assert conversion(given, wanted) == (right, 0.0)


NOTHING = ["", " ", "-", "--", "~", "unknown", "Unknown", "none", "N/A", "no_unit", "undefined", "(-)", "?"]
ABSURD = [
    *("9**99**99**99", "x" * 100_000, "((((", "1/0", "10 -3", "10-3", "__import__('os')", "m if 1 else s", "\x00", "é"),
    *("K\nm", "hours since 1900-01-01", "K @ 273.15", "ln(re 1 K)", "lambda: 1", "m**m", "(K", "K)", "m**1e9", "["),
    *("K**", "*m", "m//s", "m--1", "9e99 K 9e99 K", "1e400 m", "1e-400 Pa", "🙂", "K;Pa", "K, Pa", "'K'"),
]


@pytest.mark.parametrize("wanted", sorted({channel.units for channel in CHANNELS.values()}))
def test_missing_or_invalid_units_are_not_converted(wanted):
    for given in NOTHING:
        assert conversion(given, wanted) == ((1.0, 0.0) if wanted == "1" else None), given
    for given in ABSURD:
        assert conversion(given, wanted) is None, given


def test_units_of_the_lexicon_convert_only_to_themselves():
    units = sorted({channel.units for channel in CHANNELS.values()})
    same = {(a, b) for a in units for b in units if conversion(a, b)}
    water, numbers = {("m", "kg m-2"), ("kg m-2", "m")}, {("1", "%"), ("%", "1"), ("1", "kg kg-1")}
    speeds = {("m s-1", "mm h-1"), ("mm h-1", "m s-1")}
    assert same == {(a, a) for a in units} | water | numbers | speeds | {("m", "m2 s-2")}


RATES = {
    1: "m s-1;m/s",
    1e-3: "kg m-2 s-1;kg m**-2 s**-1;mm/s;kg/m^2/s;kg/(m^2*s);mm s-1",
    1e-3 / 3600: "mm h-1;mm/hr;mm/hour;kg m-2 h-1;mm of water per hour",
    1e-3 / 86400: "mm/day;mm d-1;mm day-1;kg m-2 day-1",
    1e-2 / 86400: "cm/day;cm d-1",
    1 / 86400: "m of water equivalent per day;m/day",
    0.0254 / 3600: "in/hour",
    1e-3 / 21600: "mm (6 h)-1;mm/(6 h)",
    None: "m;mm;kg m-2;W m-2;-;;1;kg m-2 s-2;gpm s-1;unknown;K/day",
}


@pytest.mark.parametrize(("given", "right"), [(g, right) for right, text in RATES.items() for g in text.split(";")])
def test_a_rate_is_metres_of_water_a_second(given, right):
    assert precipitation_rate(given) == (None if right is None else pytest.approx(right, rel=1e-12))


PREFIXES = ["", "k", "h", "d", "c", "m", "u", "n", "M", "G"]
BASES = ["m", "s", "g", "K", "Pa", "N", "J", "W", "bar"]
WORDS = ["knot", "hour", "day", "minute", "inch", "foot", "mile"]
WANTED = {
    "Pa": "pascal",
    "m s-1": "meter/second",
    "Pa s-1": "pascal/second",
    "kg m-2": "kilogram/meter**2",
    "K": "kelvin",
}


def drawn(draw):
    """A product of up to three units, as (name, power)."""
    word = lambda: draw.choice(WORDS) if draw.random() < 0.25 else draw.choice(PREFIXES) + draw.choice(BASES[:-1])
    return [(word(), draw.choice([-2, -1, -1, 1, 1, 1, 2])) for _ in range(draw.randint(1, 3))]


def near(draw, wanted):
    """A product that measures what is wanted, as often as not."""
    kinds = {
        "Pa": ["Pa 1", "N 1;m -2", "J 1;m -3", "bar 1", "g 1;m -1;s -2"],
        "m s-1": ["m 1;s -1", "knot 1", "inch 1;minute -1"],
        "Pa s-1": ["bar 1;hour -1", "Pa 1;s -1"],
        "kg m-2": ["g 1;m -2"],
        "K": ["K 1"],
    }[wanted]
    parts = [part.split() for part in draw.choice(kinds).split(";")]
    prefixed = BASES[:-1]  # but `bar`: to Pint `hbar` is Planck's
    return [((draw.choice(PREFIXES) if name in prefixed else "") + name, int(power)) for name, power in parts]


def spelt(draw, parts):
    """The same in one of the ways that people write."""
    power, between = draw.choice(["{}{}", "{}^{}", "{}**{}", "{}^{{{}}}"]), draw.choice([" ", ".", "*", "·"])
    return between.join(name if exponent == 1 else power.format(name, exponent) for name, exponent in parts)


def written(parts):
    return "*".join(f"{name}**({exponent})" for name, exponent in parts)


@pytest.fixture(scope="module")
def cases():
    draw, found = random.Random(17), []
    for number in range(600):
        wanted = draw.choice(list(WANTED))
        parts = near(draw, wanted) if number % 2 else drawn(draw)
        found.append((spelt(draw, parts), written(parts), wanted))
    return found


def test_random_products_agree_with_pints_own_definitions(cases):
    import pint

    units, met = pint.UnitRegistry(), 0
    for given, plain, wanted in cases:
        if given.startswith(("ms-1", "ms^-1", "ms**-1")):  # nobody's milliseconds
            continue
        theirs = units.parse_expression(plain).to_base_units()
        same = theirs.check(units(WANTED[wanted]).dimensionality)
        right = (units.Quantity(1.0) * theirs).to(WANTED[wanted]).magnitude if same else None
        found = conversion(given, wanted)
        if wanted == "kg m-2" and right is None:
            continue  # depths are water here
        assert (found and found[0]) == (right and pytest.approx(right, rel=1e-9)), (given, wanted)
        met += right is not None
    assert met > 200


def test_random_products_agree_with_udunits(cases):
    """The library that the CF convention refers to; it comes with the compliance checker."""
    udunits = pytest.importorskip("cf_units")
    met = 0
    for given, _, wanted in cases:
        text = given.replace("{", "").replace("}", "").replace("·", ".")
        if wanted == "kg m-2" or text.startswith(("ms-1", "ms^-1", "ms**-1")):
            continue
        try:
            theirs = udunits.Unit(text)
        except ValueError:
            continue
        same = (theirs / udunits.Unit(wanted)).is_dimensionless()  # `is_convertible` takes seconds for hertz
        right = theirs.convert(1.0, udunits.Unit(wanted)) if same else None
        found = conversion(given, wanted)
        assert (found and found[0]) == (right and pytest.approx(right, rel=1e-9)), (given, wanted)
        met += right is not None
    assert met > 150


def test_spellings_become_one():
    assert (
        len({unify(text).replace("/s**2", "*s**-2") for text in RIGHT["m2 s-2"][1].split(";") if "J" not in text}) == 2
    )
    assert unify("m2 s-2") == unify("m**2 s**-2") == unify("m²·s⁻²") == "m**2*s**-2"


def test_usual_units_are_converted_without_pint():
    import subprocess
    import sys

    code = "import sys; from hindsight.settings.units import conversion as c\n"
    code += "assert c('m**2 s**-2', 'm2 s-2') == c('kg kg**-1', 'kg kg-1') == c('Pa s**-1', 'Pa s-1') == (1, 0)\n"
    code += "assert c('degC', 'K') == (1, 273.15) and 'pint' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_exponents_are_raised_and_numbers_have_no_unit():
    assert [readable_units(u) for u in ("m2 s-2", "K", "kg kg-1", "1")] == ["m² s⁻²", "K", "kg kg⁻¹", ""]
