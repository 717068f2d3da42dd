"""What the generated pages say; that they are fresh is in house/test_reference.py."""

from hindsight import reference


def test_every_setting_stands_in_the_page_with_its_meaning():
    page = reference.settings_page()
    for name in ("`sigma_max`", "`ridge`", "`withheld`", "`shard_frames`", "`coastline`"):
        assert name in page
    for section in ("`observe.networks.NAME`", "`download.synthetic.lorenz96`"):
        assert f"### {section}" in page
    assert "### `train.linear_prior`" not in page.split("## `train`")[0]


def test_every_step_stands_in_the_page_with_its_options():
    page = reference.steps_page()
    assert "| `reanalyse.shard` |" in page and "`--observations`" in page
