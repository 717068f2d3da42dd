"""Conversion of a source's units, however they are spelt, to those of the lexicon.

Pint parses them, with the UDUNITS definitions that meteorology needs instead of its own. Its own would read `mb` as
millibarn, `C` as coulomb and `degrees K` as angle times temperature, and take ten times as long to load. Conversions
that hold only for certain quantities are written here: height to geopotential, mass of water per area to depth, number
to percentage.
"""

import math
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pint import UnitRegistry

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")  # signs of exponents
GRAVITY = 9.80665  # m s-2, by which a geopotential metre is defined
WATER = 1000.0  # kg m-3, density of liquid water equivalents (`lwe_thickness` of CF)
OFFSETS = {"degC": (1.0, 273.15), "degF": (5 / 9, 459.67 * 5 / 9)}  # to K
NO_UNITS = {"", "-", "--", "(-)", "~", "?", "none", "n/a", "na", "nan", "null", "unknown", "undefined", "no_unit"}
NUMBERS = {"1", "dimensionless", "unitless", "nondimensional", "non-dimensional"}
FRACTION = re.compile(r"[(\[]?\s*0\.?0?\s*(?:-|to|,|\.\.)\s*1\.?0?\s*[)\]]?|fraction|proportion", re.IGNORECASE)
MASS = re.compile(r"(?:k|m|u|n|kilo|milli|micro|nano)?(?:g|grams?)")
WATERS = re.compile(r"\s*\b(?:of\s+)?(?:liquid\s+)?(?:water(?:[ -]equivalent)?|w\.e\.)(?!\w)", re.IGNORECASE)
GEOPOTENTIAL = re.compile(r"geopotential\s+(?=m)|\bgp(?=(?:k|da|d|c)?m\b)", re.IGNORECASE)
SPELLINGS = (  # pattern, replacement; in any case
    (r"[{}$\\]", ""),  # LaTeX
    (r"[\u2212\u2013]", "-"),
    (r"[\u00b7\u22c5\u2219\u00d7]", "*"),
    (r"[\u00ba\u00b0]", "deg"),
    (r"\u03bc", "u"),
    (r"\bdeg(?:ree)?s?[ _.]?(?:c|celsius)\b", "degC"),
    (r"\bdeg(?:ree)?s?[ _.]?(?:f|fahrenheit)\b", "degF"),
    (r"\bdeg(?:ree)?s?[ _.]?(?:k|kelvins?)\b", "K"),
    (r"^(?:c|celsius)$", "degC"),
    (r"^fahrenheit$", "degF"),
    (r"_", " "),
    (r"^ms(?:\*\*|\^)?-1$", "m s-1"),  # per millisecond in UDUNITS, which is not meant
    (r"\s*\bper\b\s*", "/"),
    (r"\bsquare ([a-z]+)", r"\1**2"),
    (r"([a-z]) squared\b", r"\1**2"),
    (r"%", "percent"),
)
CASED = (  # pattern, replacement; case-sensitive
    (r"\bF\b(?!.)", "degF"),
    (r"\bmb\b", "mbar"),
    (r"\.(?=[A-Za-z])(?![eE][-+]?\d)", "*"),  # m.s-1
    (r"\^", "**"),
    (r"(?<=[A-Za-z)])(?<![\d.][eE])(?=[-+]?\d)", "**"),  # m2 s-2
    (r"\s*(\*\*|[*/])\s*", r"\1"),
    (r"(?<=[\w)])\s+(?=[\w(])", "*"),
)
NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2})?"
POWER = r"(?:\*\*\(?[-+]?\d{1,2}\)?(?!\d|\*\*))?"  # one only: evaluating a tower of powers may not end
FACTOR = rf"\(*(?:[A-Za-z]+|{NUMBER}){POWER}(?:\){POWER})*"
UNITS = re.compile(rf"{FACTOR}(?:[*/]{FACTOR})*")
LONGEST = 100  # letters
DEFINITIONS = """
    tera- = 1e12 = T-
    giga- = 1e9 = G-
    mega- = 1e6 = M-
    kilo- = 1e3 = k-
    hecto- = 1e2 = h-
    deca- = 1e1 = da- = deka-
    deci- = 1e-1 = d-
    centi- = 1e-2 = c-
    milli- = 1e-3 = m-
    micro- = 1e-6 = u-
    nano- = 1e-9 = n-
    meter = [length] = m = metre
    second = [time] = s = sec
    gram = [mass] = g
    kelvin = [temperature] = K
    mole = [substance] = mol
    radian = [angle] = rad
    degree = 0.017453292519943295 * radian = deg
    percent = 0.01
    ppm = 1e-6
    minute = 60 * second = min
    hour = 3600 * second = h = hr
    day = 86400 * second = d
    newton = kilogram * meter / second ** 2 = N
    joule = newton * meter = J
    watt = joule / second = W
    pascal = newton / meter ** 2 = Pa
    bar = 1e5 * pascal
    atmosphere = 101325 * pascal = atm
    millimeter_Hg = 133.322387415 * pascal = mmHg
    inch_Hg = 25.4 * millimeter_Hg = inHg
    dyne = 1e-5 * newton = dyn
    inch = 0.0254 * meter = in = inches
    foot = 0.3048 * meter = ft = feet
    mile = 1609.344 * meter = mi
    nautical_mile = 1852 * meter = nmi
    knot = nautical_mile / hour = kt = kts
    mph = mile / hour
"""


@lru_cache(maxsize=1024)
def conversion(given: str, target: str) -> tuple[float, float] | None:
    """The factor and offset that convert values from `given` to `target` units.

    Heights convert to geopotential, masses of water per area to depth and back, and numbers to percentages.

    Args:
        given: as the source spells them, by the CF conventions or otherwise.
        target: as the lexicon spells them.

    Returns:
        None where there is no way, or where the source says nothing (`-`, `unknown`, nothing at all),
            except for a target of `1`, whose factor is then 1.
    """
    if given.strip().lower() in NO_UNITS:
        return (1.0, 0.0) if target == "1" else None
    text = unify(given)
    if text == unify(target):  # usual, and faster than Pint
        return 1.0, 0.0
    if target == "K" and text in OFFSETS:
        return OFFSETS[text]
    factor = (_of_numbers if target in ("1", "%", "kg kg-1") else _of_quantities)(given, target)
    return None if factor is None else (factor, 0.0)


def precipitation_rate(given: str) -> float | None:
    """The factor that converts a precipitation rate to m s-1 of water; None if the units are not of a rate.

    Args:
        given: depth or mass per area, per time: `mm/day` or `kg m-2 s-1`.
    """
    text = unify(WATERS.sub("", given))
    depth, mass = ratio(text, "m*s**-1"), ratio(text, "kg*m**-2*s**-1")
    return depth if mass is None else _plain(mass / WATER)


def _of_numbers(given: str, target: str) -> float | None:
    """The factor of a number, a percentage or a mass ratio, which are different quantities."""
    text = "1" if given.strip().lower() in NUMBERS else unify(given)
    words = re.findall(r"[A-Za-z]+", re.sub(NUMBER, "", text))
    if target == "kg kg-1":
        return ratio(text, "1") if all(map(MASS.fullmatch, words)) else None
    if FRACTION.fullmatch(given.strip()):
        text, words = "1", []
    factor = ratio(text, "1") if set(words) <= {"percent"} else None
    return factor if factor is None or target == "1" else _plain(100 * factor)


def _of_quantities(given: str, target: str) -> float | None:
    """The factor of a quantity with a dimension, with the density of water or gravity where the quantity needs it."""
    to, waters, heights = unify(target), WATERS.sub("", given), GEOPOTENTIAL.sub("", given)
    if target == "m2 s-2":
        height = ratio(unify(heights), "m")
        return ratio(unify(given), to) if height is None else _plain(height * GRAVITY)
    if target in ("m", "kg m-2"):
        depth, mass = ratio(unify(waters), "m"), ratio(unify(waters), "kg*m**-2")
        by_depth, by_mass = (1.0, 1 / WATER) if target == "m" else (WATER, 1.0)
        factors = [_plain(value * by) for value, by in ((depth, by_depth), (mass, by_mass)) if value is not None]
        return factors[0] if factors else None
    return ratio(unify(given), to)


def unify(text: str) -> str:
    """Units in one spelling, with `*`, `/` and `**`: the same for `m2 s-2`, `m^2 s^-2` and `m**2.s**-2`."""
    text = unicodedata.normalize("NFKC", re.sub("\u00ba", "\u00b0", text.strip())).strip("[] ")
    for pattern, spelling in SPELLINGS:
        text = re.sub(pattern, spelling, text, flags=re.IGNORECASE)
    for pattern, spelling in CASED:
        text = re.sub(pattern, spelling, text)
    return re.sub(r"(?<!\d)[A-Za-z]{5,}", lambda word: word[0].lower(), text.strip())


def ratio(given: str, target: str) -> float | None:
    """The number of `target` units in one `given` unit, both unified; None if they cannot be converted or parsed."""
    if given == target:
        return 1.0
    if len(given) > LONGEST or not UNITS.fullmatch(given):  # Pint would also evaluate sums
        return None
    try:
        units = _registry()
        factor = float((units.Quantity(1.0) * units.parse_expression(given)).to(target).magnitude)
    except Exception:  # of Pint, of its parser or of arithmetic: the text is not a unit
        return None
    return _plain(factor) if 0 < factor < math.inf else None


def _plain(value: float) -> float:
    """A factor without rounding errors, 100 for 99.99999999999999."""
    short = float(f"{value:.9g}")
    return short if math.isclose(short, value, rel_tol=1e-13) else value


@lru_cache
def _registry() -> "UnitRegistry":
    """The registry of the units in `DEFINITIONS`."""
    from pint import UnitRegistry  # takes half a second, and most sources do not need it

    units = UnitRegistry(None)
    for line in DEFINITIONS.strip().splitlines():
        units.define(line.strip())
    return units


def readable_units(text: str) -> str:
    """Units with superscript exponents; empty for dimensionless numbers."""
    parts = [part.rstrip("-0123456789") for part in text.split() if text != "1"]
    return " ".join(base + part[len(base) :].translate(RAISED) for base, part in zip(parts, text.split()))
