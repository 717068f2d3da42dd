"""Networks."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.observe import networks
from hindsight.settings.observe import Network

GRID = Grid(np.linspace(30, 60, 21), np.linspace(-20, 14.5, 24))


def make(places=None, seed=0, **settings):
    return networks.stations(Network(**settings), GRID, np.random.default_rng(seed), places)


def test_a_random_network_uses_the_share_asked_for_and_withholds_besides():
    found = make(share=0.1, withheld=0.2)
    assert (~found["withheld"]).sum() == 50 and found["withheld"].sum() == 12
    assert not found.duplicated(["latitude", "longitude"]).any() and found["station"].is_unique
    assert set(found["latitude"]) <= set(GRID.latitude) and set(found["longitude"]) <= set(GRID.longitude)


def test_the_seed_decides_where():
    assert make(seed=1).equals(make(seed=1)) and not make(seed=1).equals(make(seed=2))


def test_a_regular_network_is_a_thinning():
    found = make(kind="regular", every=4, withheld=0.0)
    assert len(found) == 5 * 6
    assert np.allclose(np.diff(np.unique(found["latitude"])), 6.0)


def test_a_list_keeps_what_lies_in_the_domain(tmp_path):
    file = tmp_path / "s.csv"
    file.write_text("station,latitude,longitude\n007,51.5,0.1\nB,52,359.5\nfar,-40,10\neast,50,80\n")
    found = make(file, kind="stations", file="s.csv", withheld=0.0)
    assert list(found["station"]) == ["007", "B"] and np.allclose(found["longitude"], [0.1, -0.5])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("station,latitude,longitude\nfar,-40,10\n", "none of its 1 stations"),
        ("name,lat\na,1\n", "lacks the column"),
        (None, "cannot read the stations"),
    ],
)
def test_a_list_that_will_not_do_is_refused(tmp_path, text, says):
    file = tmp_path / "s.csv"
    if text:
        file.write_text(text)
    with pytest.raises(UserError, match=says):
        make(file, kind="stations", file="s.csv")


def test_a_network_that_observes_nothing_is_refused():
    with pytest.raises(UserError, match="no station"):
        make(share=0.0005)
    with pytest.raises(UserError, match="observes nothing"):
        make(kind="regular", every=15, withheld=0.9)
