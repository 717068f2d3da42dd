"""What analyses are compared with, in words: the truth, a reference by its name, or no fields at all."""

from dataclasses import dataclass

import xarray as xr

from hindsight.verify.regions import WHOLE, WITHHELD


@dataclass(frozen=True)
class Against:
    """The fields that analyses are compared with.

    Attributes:
        kind: of the setting `verify.against`.
        title: of the source, or empty.
    """

    kind: str = "truth"
    title: str = ""

    @classmethod
    def of(cls, scores: xr.Dataset) -> "Against":
        """The fields that scores, or the statistics behind them, are relative to."""
        return cls(scores.attrs.get("against", "truth"), scores.attrs.get("compared_with", ""))

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes from which `of` reads it."""
        return {"against": self.kind, "compared_with": self.title}

    @property
    def is_truth(self) -> bool:
        """Whether the fields are what simulated observations were taken from."""
        return self.kind == "truth"

    @property
    def is_none(self) -> bool:
        """Whether there are no fields, so that only withheld observations give scores."""
        return self.kind == "none"

    @property
    def region(self) -> str:
        """The region that the main scores are of."""
        return WITHHELD if self.is_none else WHOLE

    @property
    def label(self) -> str:
        """The fields in a picture: `truth`, or the name of the reference; empty without fields."""
        if self.is_none:
            return ""
        return "truth" if self.is_truth else self.title or "reference"

    @property
    def named(self) -> str:
        """The fields in a sentence: `the truth`, `the reference`, or the reference's name."""
        return self.label if self.title and not self.is_truth else f"the {self.label}"

    @property
    def difference(self) -> str:
        """What the analysis minus the fields is: an error only if they are the truth."""
        return "error" if self.is_truth else "difference"

    @property
    def at_stations(self) -> str:
        """What series at stations show."""
        return "analysis and observations" if self.is_none else f"{self.label}, analysis and observations"

    @property
    def panels(self) -> str:
        """What the maps show."""
        return "analysis and spread" if self.is_none else f"{self.label}, analysis, {self.difference} and spread"


def capitalised(text: str) -> str:
    """A text with a capital letter first, and the others as they are."""
    return text[:1].upper() + text[1:]
