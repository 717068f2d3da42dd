"""Networks."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.observe import networks
from hindsight.settings.observe import Network

GRID = Grid(np.linspace(30, 60, 21), np.linspace(-20, 14.5, 24))
GLOBE = Grid(np.arange(-87.5, 90, 5.0), np.arange(0, 360, 7.5))
NOTHING = xr.Dataset()
ISD = """"USAF","WBAN","STATION NAME","CTRY","ST","CALL","LAT","LON","ELEV(M)","BEGIN","END"
"037720","99999","HEATHROW","UK","","EGLL","+51.478","-000.461","+0025.3","19480101","20250824"
"999999","03849","LONDON/CORBIN","UK","","","+37.087","-084.077","+0369.4","19550101","20250824"
"A00001","00007","AT THE ZERO MERIDIAN","UK","","","+52.000","+000.000","+0010.0","19480101","20250824"
"012345","99999","NOWHERE","","","","","","","19480101","20250824"
"023456","99999","NULL ISLAND","","","","+00.000","+000.000","-0999.0","19480101","20250824"
"""
IGRA = """\
ACM00078861  17.1170  -61.7830   10.0    COOLIDGE FIELD (UA)            1947 1993  13896
UKM00003772  51.4780   -0.4610   25.0    LONDON/HEATHROW                1958 2025  40000
GMM00010868  48.2442   11.5525  484.0    MUENCHEN-OBERSCHLEISSHEIM      1947 2025  90000
USM00070026  71.2889 -156.7833   12.0 AK BARROW/POST ROGERS             1945 2025  60000
ZZV0004YSBE -98.8888 -998.8888 -998.8    4YSBE                          1974 1975     12
"""


def make(places=None, seed=0, grid=GRID, static=NOTHING, **settings):
    return networks.stations(Network(**settings), grid, np.random.default_rng(seed), places, static)


def world(grid, mountain=0.0):
    """Land in the western half but for a lake, high in the north of it."""
    dims, shape = ("latitude", "longitude"), grid.shape
    land = np.zeros(shape)
    land[:, : shape[1] // 2] = 1
    land[1:3, 2:4] = 0
    height = np.zeros(shape)
    height[shape[0] // 2 :] = mountain
    return xr.Dataset({"land": (dims, land), "orography": (dims, height)})


def nearest(grid, found):
    """Rows and columns of the grid points next to the stations."""
    row = np.abs(found["latitude"].to_numpy()[:, None] - grid.latitude).argmin(1)
    away = np.abs((found["longitude"].to_numpy()[:, None] - grid.longitude + 180) % 360 - 180)
    return row, away.argmin(1)


def binomial(found, total, share):
    """Whether a count is within what chance gives, once in 10^6."""
    low, high = scipy.stats.binom.ppf([5e-7, 1 - 5e-7], total, share)
    return low <= found <= high


def test_a_random_network_withholds_stations_in_addition_to_its_share():
    found = make(share=0.1, withheld=0.2)
    assert (~found["withheld"]).sum() == 50 and found["withheld"].sum() == 12
    assert not found.duplicated(["latitude", "longitude"]).any() and found["station"].is_unique
    assert set(found["latitude"]) <= set(GRID.latitude) and set(found["longitude"]) <= set(GRID.longitude)


@pytest.mark.parametrize(("grid", "settings"), [(GRID, {}), (GLOBE, {"kind": "land", "count": 300})])
def test_the_seed_decides_where(grid, settings):
    one, again, other = (make(seed=seed, grid=grid, static=world(grid), **settings) for seed in (1, 1, 2))
    assert one.equals(again) and not one.equals(other)


def test_a_regular_network_is_a_thinning():
    found = make(kind="regular", every=4, withheld=0.0)
    assert len(found) == 5 * 6
    assert np.allclose(np.diff(np.unique(found["latitude"])), 6.0)


@pytest.mark.parametrize("grid", [GRID, GLOBE], ids=["region", "globe"])
def test_few_stations_stand_at_sea(grid):
    static = world(grid)
    found = make(grid=grid, static=static, kind="land", count=4000, withheld=0.2)
    at_sea = static["land"].values[nearest(grid, found)] == 0
    assert binomial(at_sea.sum(), len(found), networks.AT_SEA)


@pytest.mark.parametrize("count", [1, 3, 7, 300])
@pytest.mark.parametrize("withheld", [0.0, 0.2, 0.5, 0.77])
def test_a_network_on_land_uses_the_count_asked_for_and_withholds_besides(count, withheld):
    found = make(grid=GLOBE, static=world(GLOBE), kind="land", count=count, withheld=withheld)
    assert (~found["withheld"]).sum() == count
    assert found["withheld"].sum() == pytest.approx(count * withheld / (1 - withheld), abs=0.5)
    assert found["station"].is_unique


@pytest.mark.parametrize("grid", [GRID, GLOBE], ids=["region", "globe"])
def test_stations_on_land_stand_between_grid_points_and_inside(grid):
    found = make(grid=grid, static=world(grid), kind="land", count=3000)
    latitude, longitude = found["latitude"], found["longitude"]
    assert not np.isin(latitude[latitude.between(*grid.latitude[[1, -2]])], grid.latitude).any()
    assert latitude.between(grid.latitude[0], grid.latitude[-1]).all()
    if not grid.periodic:
        assert longitude.between(grid.longitude[0], grid.longitude[-1]).all()
    row, column = nearest(grid, found)
    fraction = (latitude - grid.latitude[row]) / (grid.latitude[1] - grid.latitude[0])
    fraction = fraction[(row > 0) & (row < len(grid.latitude) - 1)]
    assert scipy.stats.kstest(fraction, scipy.stats.uniform(-0.5, 1).cdf).pvalue > 1e-4  # anywhere in the cell


def test_the_station_density_sums_to_one_and_is_positive_at_sea():
    static = world(GLOBE)
    land = static["land"].values
    found = networks.station_density(GLOBE, land, static["orography"].values, np.random.default_rng(0))
    assert found.shape == GLOBE.shape and found.sum() == pytest.approx(1) and (found > 0).all()
    assert found[land == 0].sum() == pytest.approx(networks.AT_SEA)
    sea = (found / GLOBE.weights)[land == 0]
    np.testing.assert_allclose(sea, sea[0])  # as many ships on every square kilometre


def test_without_centres_people_live_low_and_in_middle_latitudes(monkeypatch):
    """By hand: the area of land, times a bell of latitude about 40 degrees, times exp(-height / 1500 m)."""
    monkeypatch.setattr(networks, "CENTRES", 0)
    generator = np.random.default_rng(3)
    land, height = generator.uniform(0, 1, GLOBE.shape), generator.uniform(0, 4000, GLOBE.shape)
    found = networks.station_density(GLOBE, land, height, generator)
    latitude = GLOBE.latitude[:, None]
    people = np.cos(np.deg2rad(latitude)) * land * np.exp(-height / 1500)
    people = people * (0.15 + np.exp(-(((abs(latitude) - 40) / 20) ** 2)))
    sea = np.cos(np.deg2rad(latitude)) * (1 - land)
    expected = (1 - networks.AT_SEA) * people / people.sum() + networks.AT_SEA * sea / sea.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_stations_crowd_around_a_centre(monkeypatch):
    """One centre, all land: the likelihood over the one without centres is 0.3 + exp(-(d / 900 km)^2), over its sum."""
    land = np.ones(GLOBE.shape)
    land[0] = 0
    monkeypatch.setattr(networks, "CENTRES", 0)
    alone = networks.station_density(GLOBE, land, 0.0, np.random.default_rng(5))[1:]
    monkeypatch.setattr(networks, "CENTRES", 1)
    crowd = networks.station_density(GLOBE, land, 0.0, np.random.default_rng(5))[1:] / alone
    row, column = np.unravel_index(crowd.argmax(), crowd.shape)
    xyz = lambda a, b: np.stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a) + 0 * b])
    places = xyz(*np.deg2rad(np.meshgrid(GLOBE.latitude[1:], GLOBE.longitude, indexing="ij")))
    distance = 6371.0088 * np.arccos((places * places[:, row, column, None, None]).sum(0).clip(-1, 1))
    expected = 0.3 + np.exp(-((distance / 900) ** 2))
    np.testing.assert_allclose(crowd / crowd.max(), expected / 1.3, rtol=1e-6)


def test_where_land_is_not_known_a_network_on_land_is_refused():
    with pytest.raises(UserError, match=r"preprocess\.land"):
        make(kind="land", count=10)


def test_height_need_not_be_known():
    found = make(grid=GLOBE, static=world(GLOBE).drop_vars("orography"), kind="land", count=50)
    assert found.equals(make(grid=GLOBE, static=world(GLOBE), kind="land", count=50))
    assert not found.equals(make(grid=GLOBE, static=world(GLOBE, 3000.0), kind="land", count=50))


def test_a_domain_without_sea_has_no_ships():
    static = xr.Dataset({"land": (("latitude", "longitude"), np.ones(GRID.shape))})
    assert (~make(static=static, kind="land", count=20)["withheld"]).sum() == 20
    found = networks.station_density(GRID, static["land"].values, 0.0, np.random.default_rng(0))
    assert found.sum() == pytest.approx(1)


def test_a_land_fraction_may_be_rounded_beyond_one_or_below_nothing():
    """Interpolation in single precision gives such land fractions."""
    static = world(GLOBE)
    static["land"] = xr.where(static["land"] == 1, 1 + 2.4e-7, -6e-8)
    assert len(make(grid=GLOBE, static=static, kind="land", count=40, withheld=0.0)) == 40


def test_a_domain_without_land_is_refused():
    static = xr.Dataset({"land": (("latitude", "longitude"), np.zeros(GRID.shape))})
    with pytest.raises(UserError, match="land"):
        make(static=static, kind="land", count=20)


def test_a_list_keeps_what_lies_in_the_domain(tmp_path):
    file = tmp_path / "s.csv"
    file.write_text("station,latitude,longitude\n007,51.5,0.1\nB,52,359.5\nfar,-40,10\neast,50,80\n")
    found = make(file, kind="stations", file="s.csv", withheld=0.0)
    assert list(found["station"]) == ["007", "B"] and np.allclose(found["longitude"], [0.1, -0.5])


def test_a_list_keeps_what_lies_on_the_edge_but_for_rounding(tmp_path):
    file, (south, north), (west, east) = tmp_path / "s.csv", GRID.latitude[[0, -1]], GRID.longitude[[0, -1]]
    near, far = 3e-5, 2e-4
    file.write_text(
        "station,latitude,longitude\n"
        f"a,{south - near},{west - near}\nb,{north + near},{east + near}\nc,{south - far},{west}\n"
        f"d,{north + far},{west}\ne,{south},{west - far}\nf,{south},{east + far}\n"
    )
    assert list(make(file, kind="stations", file="s.csv", withheld=0.0)["station"]) == ["a", "b"]


def test_count_stations_are_drawn_from_a_list(tmp_path):
    file = tmp_path / "s.csv"
    rows = [f"S{n},{30 + 0.3 * n},{0.1 * n}" for n in range(100)]
    file.write_text("station,latitude,longitude\n" + "\n".join(rows))
    whole = make(file, kind="stations", file="s.csv", withheld=0.0)
    assert len(whole) == 100 and make(file, kind="stations", file="s.csv", withheld=0.0, count=500).equals(whole)
    some = make(file, kind="stations", file="s.csv", withheld=0.25, count=40)
    assert len(some) == 40 and some["station"].is_unique and some["withheld"].sum() == 10
    columns = ["station", "latitude", "longitude"]
    assert some[columns].merge(whole[columns]).equals(some[columns])  # the list's own places, in its order
    assert not make(file, kind="stations", file="s.csv", count=40, seed=1)["station"].equals(some["station"])
    drawn = np.zeros(100)
    for seed in range(200):
        drawn[make(file, seed=seed, kind="stations", file="s.csv", count=40)["station"].str[1:].astype(int)] += 1
    assert binomial(drawn.min(), 200, 0.4) and binomial(drawn.max(), 200, 0.4)  # each as likely as another


def test_the_history_of_the_integrated_surface_database_is_a_list(tmp_path):
    file = tmp_path / "isd-history.csv"
    file.write_text(ISD)
    found = make(file, kind="stations", file="x", withheld=0.0)
    assert list(found["station"]) == ["037720-99999", "A00001-00007"]  # the third is in Kentucky
    np.testing.assert_allclose(found[["latitude", "longitude"]], [[51.478, -0.461], [52.0, 0.0]])
    everywhere = make(file, grid=GLOBE, kind="stations", file="x", withheld=0.0)
    assert list(everywhere["station"]) == ["037720-99999", "999999-03849", "A00001-00007"]
    np.testing.assert_allclose(everywhere["longitude"], [359.539, 275.923, 0.0])


def test_the_list_of_the_radiosonde_archive_is_a_list(tmp_path):
    file = tmp_path / "igra2-station-list.txt"
    file.write_text(IGRA)
    found = make(file, grid=GLOBE, kind="stations", file="x", withheld=0.0)
    assert list(found["station"]) == ["ACM00078861", "UKM00003772", "GMM00010868", "USM00070026"]
    places = [[17.117, 360 - 61.783], [51.478, 360 - 0.461], [48.2442, 11.5525], [71.2889, 360 - 156.7833]]
    np.testing.assert_allclose(found[["latitude", "longitude"]], places)
    assert list(make(file, kind="stations", file="x", withheld=0.0)["station"]) == ["UKM00003772", "GMM00010868"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("station,latitude,longitude\nfar,-40,10\n", "none of its 1 stations"),
        ("station,latitude,longitude\na,,\nb,0,0\n", "none of its 2 stations"),
        ("name,lat\na,1\n", "lacks the column"),
        ("", "cannot read the stations"),
        (None, "cannot read the stations"),
    ],
)
def test_a_list_that_will_not_do_is_refused(tmp_path, text, says):
    file = tmp_path / "s.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=says):
        make(file, kind="stations", file="s.csv")


def test_a_network_that_observes_nothing_is_refused():
    with pytest.raises(UserError, match="no station"):
        make(share=0.0005)
    with pytest.raises(UserError, match="observes nothing"):
        make(kind="regular", every=15, withheld=0.9)


@pytest.mark.parametrize(("name", "least"), [("igra2-station-list.txt", 2500), ("isd-history.csv.gz", 25000)])
def test_the_real_lists_are_read(data, name, least):
    globe = Grid(np.arange(-87.1875, 90, 5.625), np.arange(0, 360, 5.625))
    found = networks.load_list(data / "stations" / name, globe)
    assert len(found) > least and found["station"].is_unique
    assert found["latitude"].between(-88, 88).all() and found["longitude"].between(0, 360).all()


RING = Grid(np.zeros(1), np.arange(0, 360, 9.0))


@pytest.mark.parametrize(("every", "first", "count"), [(1, 0.0, 40), (2, 9.0, 20), (4, 18.0, 10)])
def test_a_ring_is_thinned_along_its_one_latitude(every, first, count):
    found = make(grid=RING, kind="regular", every=every, withheld=0.0)
    assert len(found) == count and found["station"].is_unique and (found["latitude"] == 0).all()
    np.testing.assert_allclose(found["longitude"], first + 9.0 * every * np.arange(count))


def test_other_networks_stand_on_a_ring_too():
    found = make(grid=RING, share=0.25, withheld=0.2)
    assert (~found["withheld"]).sum() == 10 and set(found["longitude"]) <= set(RING.longitude)
    land = xr.Dataset({"land": (("latitude", "longitude"), (RING.longitude < 180)[None] * 1.0)})
    found = make(grid=RING, static=land, kind="land", count=50)
    assert (found["latitude"] == 0).all() and not np.isin(found["longitude"], RING.longitude).any()


@pytest.mark.parametrize(("every", "down", "across"), [(3, 7, 8), (4, 5, 6), (7, 3, 3)])
def test_footprints_lie_side_by_side_and_are_seen_at_their_middles(every, down, across):
    found = make(kind="footprint", every=every, footprint="centre", withheld=0.25)
    assert len(found) == down * across and found["station"].is_unique
    assert found["withheld"].sum() == round(0.25 * len(found)) and set(found["footprint"]) == {
        f"centre {every}x{every}"
    }
    for axis, name, count in ((GRID.latitude, "latitude", down), (GRID.longitude, "longitude", across)):
        middles = [axis[k * every : (k + 1) * every].mean() for k in range(count)]
        np.testing.assert_allclose(np.unique(found[name].round(9)), middles)


def test_on_a_ring_a_footprint_is_a_stretch_of_it():
    found = make(grid=RING, kind="footprint", every=4, withheld=0.0)
    assert len(found) == 10 and set(found["footprint"]) == {"mean 1x4"} and (found["latitude"] == 0).all()
    np.testing.assert_allclose(found["longitude"], 13.5 + 36.0 * np.arange(10))


def test_footprints_that_the_grid_cannot_hold_are_refused():
    with pytest.raises(UserError, match="blocks of 22 points a side, and the grid has 21 x 24; lower its `every`"):
        make(kind="footprint", every=22)


def test_other_networks_see_values_at_places():
    assert set(make()["footprint"]) == {""}


@pytest.mark.parametrize("column", ["value", "t2m", "level", "Time"])
def test_a_list_of_stations_that_holds_measurements_is_refused(tmp_path, column):
    (tmp_path / "list.csv").write_text(f"station,latitude,longitude,{column}\nA,45,1,280\n")
    with pytest.raises(UserError, match=rf"has the column\(s\) {column.lower()}: a list of stations gives their"):
        networks.load_list(tmp_path / "list.csv", Grid(np.arange(40.0, 50), np.arange(-3.0, 3)))


def test_folds_withhold_every_station_of_the_same_network_once():
    whole = make(share=0.2, withheld=0.25)
    parts = [make(share=0.2, withheld=0.25, fold=(k, 4)) for k in range(4)]
    assert all((part["station"] == whole["station"]).all() for part in parts)
    assert (sum(part["withheld"].astype(int) for part in parts) == 1).all()
    sizes = [part["withheld"].sum() for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_points_that_the_source_does_not_cover_have_no_station_and_are_in_no_block(capsys):
    covered = np.ones(GRID.shape, bool)
    covered[:, 15:] = False
    covered[3, 3] = False
    grid = Grid(GRID.latitude, GRID.longitude, covered)
    found = make(grid=grid, kind="random", share=0.2, withheld=0.2)
    row, column = nearest(grid, found)
    assert covered[row, column].all() and (~found["withheld"]).sum() == round(0.2 * covered.sum())
    found = make(grid=grid, kind="footprint", every=3, withheld=0)
    row, column = nearest(grid, found)
    assert len(found) == 7 * 5 - 1 and "22 of 56 stations lie where the source has no values" in capsys.readouterr().out
    assert not ((row == 4) & (column == 4)).any() and (column < 15).all()
