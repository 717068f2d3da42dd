"""The section of the report on the audit of the prior."""

from hindsight.verify import memorisation
from tests.verify import worlds


def test_the_section_says_what_the_audit_found_and_shows_its_figure(tmp_path):
    files = worlds.audited(tmp_path)
    section = memorisation.section(files["audit"], files["audit_figure"])
    assert section["title"] == "Memorisation" and len(section["pictures"]) == 1
    assert "AUROC of training over held-out frames is 0.52. Nothing was copied." in section["text"]
    assert section["text"].endswith("From 32 windows of 8 frames of each period.")
