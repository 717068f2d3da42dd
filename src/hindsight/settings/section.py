"""The base of every section of the settings, and defaults that another setting chooses."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Precision = Literal["auto", "float32", "bfloat16"]


class Section(BaseModel):
    """A frozen group of settings that refuses keys it does not know and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def under(given: dict, preset: dict) -> dict:
    """What is given, and below it what a preset says, section by section."""
    merged = dict(given)
    for name, value in preset.items():
        here = given.get(name)
        if isinstance(value, dict) and (here is None or isinstance(here, dict)):
            merged[name] = under(here or {}, value)
        elif name not in given:
            merged[name] = value
    return merged
