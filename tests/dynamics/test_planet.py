"""The built-in planet: land, mountains and seasons."""

import numpy as np
import pytest
import torch

from hindsight.dynamics import planet
from hindsight.dynamics.quasi_geostrophic import DAY, RADIUS, ROTATION
from hindsight.harmonics import Harmonics, gaussian

LATITUDE, WEIGHTS = gaussian(48)
LONGITUDE = np.arange(96) * 3.75
PLACES = np.meshgrid(LATITUDE, LONGITUDE, indexing="ij")
HARMONICS = Harmonics(LATITUDE, 96, 31)
JANUARY = torch.tensor(planet.COLDEST * DAY, dtype=torch.float64)
JULY = JANUARY + planet.YEAR / 2


def seasons(**settings):
    return planet.Seasons(HARMONICS, torch.as_tensor(WEIGHTS), **settings)


def area(field):
    return field.mean(1) @ WEIGHTS / 2


def test_land_is_a_fraction_and_covers_as_much_as_on_earth():
    land = planet.land(*PLACES)
    assert land.min() >= 0 and land.max() <= 1 and land.min() < 1e-6 and land.max() > 1 - 1e-6
    assert 0.25 < area(land) < 0.35
    north = PLACES[0] > 0
    assert area(np.where(north, land, 0)) > 1.5 * area(np.where(north, 0, land))
    assert area((land > 0.05) & (land < 0.95)) < 0.25  # shores are narrow


@pytest.mark.parametrize(
    ("latitude", "longitude", "land"),
    [(20, 10, 1), (62, 115, 1), (-25, 134, 1), (40, -100, 1), (-85, 0, 1), (0, -150, 0), (-55, 60, 0), (86, 200, 0)],
    ids=["Sahara", "Siberia", "Australia", "America", "Antarctica", "Pacific", "Southern Ocean", "Arctic Ocean"],
)
def test_places_known_to_be_land_or_sea_are(latitude, longitude, land):
    assert planet.land(np.array(latitude), np.array(longitude)) == pytest.approx(land, abs=0.01)


@pytest.mark.parametrize("turned", [0, 30, -75])
@pytest.mark.parametrize("centre", [(0, 0), (40, 140), (-70, 350)])
def test_an_ellipse_ends_at_its_half_widths(centre, turned):
    """Positions are computed from the centre by the spherical law of cosines; east is 0 and north 90 degrees."""
    along, across = 20.0, 8.0
    for direction, arc in ((0, along), (180, along), (90, across), (-90, across)):
        heading, c, north = np.deg2rad(90 - direction - turned), np.deg2rad(arc), np.deg2rad(centre[0])
        latitude = np.arcsin(np.sin(north) * np.cos(c) + np.cos(north) * np.sin(c) * np.cos(heading))
        east = np.arctan2(np.sin(heading) * np.sin(c) * np.cos(north), np.cos(c) - np.sin(north) * np.sin(latitude))
        ellipse = (centre[1], centre[0], along, across, turned)
        there = planet._inside(np.rad2deg(latitude), centre[1] + np.rad2deg(east), ellipse)
        assert there == pytest.approx(0, abs=1e-9)
    assert planet._inside(np.array(float(centre[0])), np.array(centre[1] - 360.0), ellipse) == pytest.approx(
        1, abs=1e-6
    )


def test_mountains_stand_on_land_and_are_as_high_as_on_earth():
    land, height = planet.land(*PLACES), planet.orography(*PLACES)
    assert height.min() >= 0 and height[land < 1e-3].max() < 10
    assert 4000 < height.max() < 6500 and 150 < area(height) < 350
    highest = np.unravel_index(height.argmax(), height.shape)
    assert abs(LATITUDE[highest[0]] - 33) < 5 and abs(LONGITUDE[highest[1]] - 88) < 10  # Tibet
    assert planet.orography(np.array(-30.0), np.array(20.0)) > 700


def test_land_and_mountains_do_not_depend_on_the_grid():
    for field in (planet.land, planet.orography):
        whole = field(*PLACES)
        np.testing.assert_array_equal(field(PLACES[0][::3, ::4], PLACES[1][::3, ::4]), whole[::3, ::4])
        np.testing.assert_allclose(field(PLACES[0], PLACES[1] - 360), whole, atol=1e-7)
        assert np.ptp(field(np.full(36, 90.0), np.arange(0, 360, 10.0))) < 1e-9


def zonal_wind(psi):
    return -HARMONICS.synthesis(psi, slope=True).mean(-1).numpy() / (RADIUS * np.cos(np.deg2rad(LATITUDE)))


@pytest.mark.parametrize(("time", "sign"), [(JANUARY, 1), (JULY, -1), (JANUARY + planet.YEAR / 4, 0)])
def test_the_zonal_mean_wind_is_the_given_profile(time, sign):
    """Westerlies cos^5 sin^2, scaled to 1 at their largest, stronger in the winter of either hemisphere."""
    found = zonal_wind(seasons(shear=(26.0, 17.0), seasonal_amplitude=0.3)(time))
    angle = np.deg2rad(LATITUDE)
    profile = np.cos(angle) ** 5 * np.sin(angle) ** 2 / ((5 / 7) ** 2.5 * (2 / 7))
    expected = profile * (1 + sign * 0.3 * np.tanh(3 * angle))
    np.testing.assert_allclose(found, np.outer([26.0, 17.0], expected), atol=0.15)
    lower_half = np.abs(LATITUDE) > 20
    assert np.abs(found[0] / found[1] - 26 / 17)[lower_half & (profile > 0.1)].max() < 1e-3


def test_without_seasons_the_wind_is_exactly_the_profile():
    found = zonal_wind(seasons(seasonal_amplitude=0.0)(JULY))[0]
    angle = np.deg2rad(LATITUDE)
    np.testing.assert_allclose(found, 26 * 8.1 * np.cos(angle) ** 5 * np.sin(angle) ** 2, atol=2e-3)


def test_the_hemispheres_have_opposite_seasons_and_a_year_brings_them_back():
    year, zonal = seasons(), seasons(contrast=0.0)
    for days in (0, 40, 130):
        now = torch.tensor(days * DAY, dtype=torch.float64)
        north, later = zonal_wind(zonal(now)), zonal_wind(zonal(now + planet.YEAR / 2))
        np.testing.assert_allclose(north, later[:, ::-1], atol=1e-9)
        torch.testing.assert_close(year(now), year(now + planet.YEAR), rtol=1e-9, atol=1.0)
    winds = [zonal_wind(year(t))[0][LATITUDE > 20].max() for t in (JANUARY - 20 * DAY, JANUARY, JANUARY + 20 * DAY)]
    assert winds[1] == max(winds)


@pytest.mark.parametrize(
    ("latitude", "longitude"), [(62, 115), (55, 255), (-25, 134)], ids=["Siberia", "Canada", "Australia"]
)
def test_land_is_colder_than_the_sea_in_its_winter_and_warmer_in_its_summer(latitude, longitude):
    """Temperature of both layers from the thickness f psi, departures from the zonal mean."""
    row, column = np.abs(LATITUDE - latitude).argmin(), np.abs(LONGITUDE - longitude).argmin()
    coriolis, depth = 2 * ROTATION * np.sin(np.deg2rad(LATITUDE[row])), 287 * np.log([500 / 200, 850 / 500])
    found = {}
    for name, time in (("january", JANUARY), ("july", JULY)):
        thickness = coriolis * HARMONICS.synthesis(seasons()(time))[:, row].numpy()
        found[name] = (thickness - thickness.mean(1, keepdims=True))[:, column] / depth
    winter, summer = ("january", "july") if latitude > 0 else ("july", "january")
    assert (found[winter] < -2).all() and (found[summer] > 1).all()
    assert (np.abs(found[winter]) > np.abs(found[summer])).all() and (found[winter] > -20).all()
    assert np.ptp(found[winter]) < 0.01


def test_the_contrast_is_the_given_temperature():
    """Land colder than the sea by 1.25 times the contrast times sin^2, at 45 degrees, where psi = phi / f is exact."""
    as_it_is, none = seasons(contrast=30.0), seasons(contrast=0.0)
    fine = np.abs(LATITUDE - 45).argmin()
    angle = np.deg2rad(LATITUDE[fine])
    cold = HARMONICS.synthesis(as_it_is(JANUARY) - none(JANUARY))[0, fine].numpy() * 2 * ROTATION * np.sin(angle)
    share = planet.land(*PLACES)[fine]
    slope = np.polyfit(share, cold / (287 * np.log(500 / 200)), 1)[0]
    assert slope == pytest.approx(-30 * 1.25 * np.sin(angle) ** 2 * np.sin(angle) / np.sin(np.pi / 4), rel=0.12)


def test_several_times_at_once_are_independent():
    year, times = seasons(), torch.tensor([0.0, 50.0, 300.0], dtype=torch.float64) * DAY
    assert torch.equal(year(times), torch.stack([year(time) for time in times]))
