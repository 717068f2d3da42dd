"""The section of the report on the audit of the prior for memorisation."""

import json
from pathlib import Path

from hindsight.verify import style

MEANING = (
    "Does the prior treat frames that it was trained on differently from held-out ones, in the validation period? "
    "An AUROC is the probability that a training frame has the larger value; 0.5 means that nothing tells them apart."
)


def section(audit: Path, figure: Path) -> dict:
    """Title, text and picture: what `audit.json` found, and `audit.png`."""
    found = json.loads(audit.read_text())
    counted = f"{found['windows']} windows of {found['window']} frames of each period."
    sentences = [f"{text[0].upper()}{text[1:]}." for text in found["findings"]]
    alt = "Representations, AUROC and errors relative to the linear prior by noise level, in training and held out"
    return {
        "title": "Memorisation",
        "text": " ".join([MEANING, *sentences, f"From {counted}"]),
        "pictures": [style.png(figure, alt)],
    }
