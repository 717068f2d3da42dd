"""What analyses are compared with, in words: the truth, or a reference by its name."""

from dataclasses import dataclass

import xarray as xr


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
    def label(self) -> str:
        """The fields in a picture: `truth`, or the name of the reference."""
        return "truth" if self.is_truth else self.title or "reference"

    @property
    def capital(self) -> str:
        """The label at the start of a sentence."""
        return self.label[:1].upper() + self.label[1:]

    @property
    def named(self) -> str:
        """The fields in a sentence: `the truth`, `the reference`, or the reference's name."""
        return self.label if self.title and not self.is_truth else f"the {self.label}"

    @property
    def difference(self) -> str:
        """What the analysis minus the fields is: an error only if they are the truth."""
        return "error" if self.is_truth else "difference"
