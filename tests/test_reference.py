"""What the generated pages say; that they are fresh is in house/test_reference.py."""

from hindsight import reference
from hindsight.settings import SECTIONS, Settings


def test_every_setting_stands_in_the_page_with_its_meaning():
    page = reference.settings_page()
    for name in ("`sigma_max`", "`ridge`", "`withheld`", "`shard_frames`", "`coastline`"):
        assert name in page
    for section in ("`observe.networks.NAME`", "`download.synthetic.lorenz96`"):
        assert f"### {section}" in page
    assert "### `train.linear_prior`" not in page.split("## `train`")[0]
    assert "`download.missing[...]`" in page and "`archive.accepted[...]`" in page


def test_every_section_of_the_page_can_be_in_a_configuration():
    headings = [line for line in reference.settings_page().splitlines() if line.startswith("## ")]
    assert headings == [f"## `{name}`" for name in Settings.model_fields if name in SECTIONS]


def test_every_step_stands_in_the_page_with_its_options():
    page = reference.steps_page()
    assert "| `reanalyse.shard` |" in page and "`--observations`" in page
