"""The base class of all sections of the settings, and defaults that depend on another setting."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Precision = Literal["auto", "float32", "bfloat16"]


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def with_defaults(given: dict, defaults: dict) -> dict:
    """Add defaults to settings for the keys that they lack, section by section."""
    merged = dict(given)
    for name, value in defaults.items():
        section = given.get(name)
        if isinstance(value, dict) and (section is None or isinstance(section, dict)):
            merged[name] = with_defaults(section or {}, value)
        elif name not in given:
            merged[name] = value
    return merged
