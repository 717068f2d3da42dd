"""Transforms of channels with a point mass and a tail, such as rain: zero often, and a hundred times its mean at times.

Such a channel is analysed as a number that is nearly normal where it rains:

    T(v) = ln(v / threshold) + 1      where v >= threshold,
    T(v) = 0                          where it is less: dry;

and back, T^-1(x) = threshold exp(x - 1) where x >= 1, and 0 below: all of it is dry (a censored normal variable). A
restored value is therefore dry or at least the threshold.

With a highest value, T is constant beyond it and T^-1 never exceeds it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hindsight.settings.preprocess import CensoredLogarithm

ATTRIBUTE = "transforms"  # of the climatology, by channel, as JSON
NONE: Mapping[str, CensoredLogarithm] = {}  # no channel has a transform


@dataclass(frozen=True)
class Transforms:
    """The transforms of the channels of a state, none where a channel has none.

    Attributes:
        of: for each channel.
    """

    of: tuple[CensoredLogarithm | None, ...] = ()

    @classmethod
    def build(cls, chosen: Mapping[str, CensoredLogarithm], channels: Sequence[str]) -> "Transforms":
        """Those of the settings, in the order of channels; empty if none of them has one."""
        found = tuple(chosen.get(str(name)) for name in channels)
        return cls(found if any(found) else ())

    @classmethod
    def from_json(cls, text: str) -> "Transforms":
        """What `to_json` wrote."""
        return cls(tuple(one and CensoredLogarithm.model_validate(one) for one in json.loads(text)))

    def to_json(self) -> str:
        """As text for a file."""
        return json.dumps([one and one.model_dump(mode="json") for one in self.of])

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes of a file, for `of_file`; none if no channel has a transform."""
        return {ATTRIBUTE: self.to_json()} if self else {}

    @classmethod
    def of_file(cls, attributes: Mapping[str, str]) -> "Transforms":
        """The transforms that the attributes of a file describe."""
        return cls.from_json(attributes[ATTRIBUTE]) if ATTRIBUTE in attributes else cls()

    def __bool__(self) -> bool:
        return bool(self.of)

    def forward(self, fields: np.ndarray) -> np.ndarray:
        """Physical fields (…, C, H, W) transformed."""
        return self._each(fields, forward)

    def inverse(self, fields: np.ndarray) -> np.ndarray:
        """Transformed fields (…, C, H, W) as physical ones."""
        return self._each(fields, inverse)

    def _each(self, fields: np.ndarray, change: Callable) -> np.ndarray:
        if not self.of:
            return fields
        found = np.array(fields, float)
        for number, one in enumerate(self.of):
            if one:
                found[..., number, :, :] = change(found[..., number, :, :], one)
        return found

    def named(self, channels: Sequence[str]) -> dict[str, CensoredLogarithm]:
        """The transforms by the names of the channels that have one."""
        return {str(name): one for name, one in zip(channels, self.of) if one}


def forward(values: np.ndarray, chosen: CensoredLogarithm) -> np.ndarray:
    """Physical values transformed; NaN stays NaN."""
    wet = np.clip(values, chosen.threshold, chosen.highest)
    return np.where(values < chosen.threshold, 0.0, np.log(wet / chosen.threshold) + 1.0)


def inverse(values: np.ndarray, chosen: CensoredLogarithm) -> np.ndarray:
    """Transformed values as physical ones; NaN stays NaN."""
    wet = np.minimum(chosen.threshold * np.exp(np.maximum(values, 1.0) - 1.0), chosen.highest or np.inf)
    return np.where(values < 1.0, 0.0 * values, wet)


def of_observations(
    names: np.ndarray, values: np.ndarray, errors: np.ndarray, chosen: Mapping[str, CensoredLogarithm]
) -> tuple[np.ndarray, np.ndarray]:
    """Observed values and their errors transformed, where what is observed has a transform; (N,) each.

    An error in the channel's units becomes that of the logarithm by the slope at the value, or at the threshold where
    it is dry.
    """
    values, errors = values.copy(), errors.copy()
    for name, one in chosen.items():
        rows = names == name
        if one.errors == "physical":
            errors[rows] *= slope(values[rows], one)
        values[rows] = forward(values[rows], one)
    return values, errors


def physical_errors(
    names: np.ndarray, values: np.ndarray, errors: np.ndarray, chosen: Mapping[str, CensoredLogarithm]
) -> np.ndarray:
    """Errors of observations in the units of what is observed, (N,): those of a logarithm by the slope at the value."""
    errors = np.array(errors, float)
    for name, one in chosen.items():
        if one.errors == "transformed":
            rows = names == name
            errors[rows] /= slope(np.asarray(values, float)[rows], one)
    return errors


def perturbed(
    names: np.ndarray, values: np.ndarray, noise: np.ndarray, chosen: Mapping[str, CensoredLogarithm]
) -> np.ndarray:
    """Physical values (…, N) with observation errors added, to the logarithm or to the value, as the settings say.

    Args:
        names: of what is observed, (N,).
        values: without errors.
        noise: errors, of the shape of the values.
        chosen: transforms by channel; an amount never becomes negative.
    """
    found = values + noise
    for name, one in chosen.items():
        rows = names == name
        if one.errors == "physical":
            found[..., rows] = np.maximum(found[..., rows], 0.0)
        else:
            found[..., rows] = inverse(forward(values[..., rows], one) + noise[..., rows], one)
    return found


def slope(values: np.ndarray, chosen: CensoredLogarithm) -> np.ndarray:
    """The derivative of the transform at physical values v: 1 / max(v, threshold), also above `highest`."""
    return 1.0 / np.maximum(values, chosen.threshold)
