"""The quasi-geostrophic world: its weather, which does not depend on how the period is cut."""

import numpy as np
import pytest
import torch

from hindsight.dynamics import planet, quasi_geostrophic_world
from hindsight.dynamics.quasi_geostrophic import DAY, RADIUS, ROTATION
from hindsight.dynamics.quasi_geostrophic_world import QuasiGeostrophicWorld
from hindsight.harmonics import Harmonics
from hindsight.settings.download import Synthetic

SMALL = {"truncation": 8, "latitudes": 10, "spin_up_days": 12, "step_minutes": 180.0}
BEGINS = np.array(["2001-01-05T00", "2001-07-01T06"], "datetime64[ns]")


def make(**settings):
    return QuasiGeostrophicWorld(Synthetic(**SMALL | settings))


def run(settings=None, begins=BEGINS, frames=6):
    made = make(**settings or {})
    return made.frames(made.spin_up(begins), begins, 0, frames)[1]


def test_the_same_settings_give_the_same_bytes_and_other_seeds_other_weather():
    one, two, other = run(), run(), run({"seed": 2})
    for name, values in one.items():
        assert values.dtype == np.float32 and values.tobytes() == two[name].tobytes()
    north, elsewhere = one["v_component_of_wind"], other["v_component_of_wind"]
    assert (np.abs(north - elsewhere).max((0, 1, 3, 4)) > 0.3 * north.std((0, 1, 3, 4))).all()


def test_the_disturbance_is_the_same_in_all_versions_and_differs_between_segments():
    made = make(seed=3)
    first, second = (made.model.streamfunction(made.disturbance(k))[1, 2, 3].item() for k in (0, 1))
    assert second == pytest.approx(-109523.313124 + 220936.908716j, rel=1e-9) and abs(first - second) > 1e4


def test_frames_do_not_depend_on_chunks():
    made = make()
    begun = made.spin_up(BEGINS)
    _, whole = made.frames(begun, BEGINS, 0, 7)
    after, first = made.frames(begun, BEGINS, 0, 3)
    _, rest = made.frames(after, BEGINS, 3, 4)
    for name, values in whole.items():
        np.testing.assert_array_equal(np.concatenate([first[name], rest[name]], 1), values)
    assert np.abs(np.diff(whole["geopotential"], axis=1)).max((0, 2, 3, 4)).min() > 1  # every frame is another


def test_a_segment_does_not_depend_on_the_others():
    made, both = make(), run()
    for k in range(2):
        lone = make()
        lone.disturbance = lambda _, k=k: made.disturbance(k)
        alone = lone.frames(lone.spin_up(BEGINS[k : k + 1]), BEGINS[k : k + 1], 0, 6)[1]
        for name, values in both.items():
            np.testing.assert_allclose(alone[name][0], values[k], rtol=1e-5, atol=1e-3)
    assert np.abs(both["geopotential"][0] - both["geopotential"][1]).max() > 100


def test_a_frame_is_the_state_at_its_time_for_any_time_step():
    """Six-hourly frames by steps of three and of one and a half hours: the same weather, to the order of the method."""
    coarse, fine = (run({"step_minutes": step}) for step in (180.0, 90.0))
    for name, values in coarse.items():
        assert (np.abs(values - fine[name]).max((0, 1, 3, 4)) < 0.01 * values.std((0, 1, 3, 4))).all()
    daily = run({"step_hours": 24}, frames=2)
    np.testing.assert_allclose(daily["geopotential"], run(frames=5)["geopotential"][:, ::4], rtol=1e-6)


def test_the_seasons_are_those_of_the_dates():
    """From the same disturbance, January and July diverge; the same day of another year hardly, due to leap years."""
    made = make(spin_up_days=30)
    made.disturbance = lambda _, own=made.disturbance: own(0)
    begins = np.array(["2001-01-15", "2001-07-15", "2002-01-15"], "datetime64[ns]")
    psi = made.model.streamfunction(made.spin_up(begins))
    gap = lambda a, b: (a - b).abs().max() / psi.abs().max()
    assert gap(psi[0], psi[2]) < 0.01 < 0.05 < gap(psi[0], psi[1])
    assert made.seconds(np.array(["2000-01-02T06"], "datetime64[ns]")).item() == 1.25 * DAY


def test_winds_are_the_derivatives_of_the_streamfunction():
    """u = -dpsi/dy and v = dpsi/dx by finite differences of psi at shifted places."""
    made, step = make(), 1e-4
    psi = made.model.streamfunction(made.spin_up(BEGINS))
    found = made.weather(made.model.vorticity(psi))
    shifted = lambda north=0.0, east=0.0: Harmonics(made.latitude + north, 20, 8, first=east).synthesis(psi)
    arc = RADIUS * np.deg2rad(2 * step)
    u = -(shifted(north=step) - shifted(north=-step)) / arc
    v = (shifted(east=step) - shifted(east=-step)) / (arc * np.cos(np.deg2rad(made.latitude))[:, None])
    assert np.abs(found["u_component_of_wind"]).max() > 3 and np.abs(found["v_component_of_wind"]).max() > 1
    np.testing.assert_allclose(found["u_component_of_wind"], u, atol=1e-4)
    np.testing.assert_allclose(found["v_component_of_wind"], v, atol=1e-4)


def test_winds_have_no_divergence():
    """d(u)/dx + d(v cos)/dy / cos = 0, from the winds written, projected on every harmonic by quadrature."""
    made = make(latitudes=90)
    found = made.weather(made.spin_up(BEGINS[:1]))
    cosine = np.cos(np.deg2rad(made.latitude))
    angle = np.deg2rad(made.latitude)
    weights = torch.as_tensor(np.sin(angle + np.pi / 180) - np.sin(angle - np.pi / 180))
    east, north = (
        made.output_harmonics.waves(torch.as_tensor(found[f"{name}_component_of_wind"][0] * cosine[:, None]).double())
        for name in "uv"
    )
    along, across = made.output_harmonics.table / cosine**2, made.output_harmonics.slope / cosine**2
    order = 1j * made.output_harmonics.order[:, None]
    project = lambda waves, table: made.output_harmonics.project(waves, torch.as_tensor(table), weights)
    divergence = order * project(east, along) - project(north, across)
    vorticity = order * project(north, along) + project(east, across)
    assert divergence.abs().max() < 2e-3 * vorticity.abs().max()


def test_the_levels_are_in_the_requested_order_with_geopotential_in_balance():
    """Solid-body rotation, of different strength on each level: phi = mean - a^2 omega Omega (mu^2 - 1/3)."""
    made = make(levels=[850, 200])
    omega = torch.tensor([30.0, 20.0, 10.0], dtype=torch.float64) / RADIUS
    psi = torch.zeros(3, 9, 9, dtype=torch.complex128)
    psi[:, 0, 1] = -(RADIUS**2) * omega * np.sqrt(4 * np.pi / 3)
    found = made.weather(made.model.vorticity(psi))
    mu = np.sin(np.deg2rad(made.latitude))[:, None] * np.ones(20)
    for k, (level, speed) in enumerate(((850, 10.0), (200, 30.0))):
        expected = quasi_geostrophic_world.MEAN[level] - RADIUS * speed * ROTATION * (mu**2 - 1 / 3)
        np.testing.assert_allclose(found["geopotential"][k], expected, rtol=1e-6)
        np.testing.assert_allclose(found["u_component_of_wind"][k], speed * np.sqrt(1 - mu**2), rtol=1e-6)
        assert np.abs(found["v_component_of_wind"][k]).max() < 1e-6


def test_the_grid_has_cells_of_equal_width_and_the_planets_land():
    made = make(latitudes=12)
    np.testing.assert_allclose(made.latitude, np.arange(-82.5, 90, 15))
    np.testing.assert_allclose(made.longitude, np.arange(0, 360, 15))
    fields = made.static()
    assert fields["land_sea_mask"][7, 1] == pytest.approx(planet.land(np.array(22.5), np.array(15.0)))
    assert fields["geopotential_at_surface"].max() == pytest.approx(
        9.80665 * planet.orography(*np.meshgrid(made.latitude, made.longitude, indexing="ij")).max()
    )


def test_the_model_has_the_mountains_and_land_of_the_planet():
    built = quasi_geostrophic_world.build(8)
    flat = built.planetary[0]
    assert (built.planetary[2] - flat).abs().max() > 0.01 * flat.abs().max()
    fastest, slowest = built._drag[2].max(), built._drag[2].min()
    assert slowest * 3 * DAY == pytest.approx(1, rel=1e-3) and fastest * 3 * DAY == pytest.approx(2, rel=0.02)


@pytest.fixture(scope="module")
def spun_up():
    """Januaries and Julies of a world at T21, after 80 days: the two worlds and their states."""
    made = QuasiGeostrophicWorld(Synthetic(truncation=21, latitudes=32, spin_up_days=80, step_minutes=120.0))
    begins = np.array(["2000-01-10", "2000-07-10"], "datetime64[ns]")
    return made, begins, made.spin_up(begins)


@pytest.mark.slow
def test_small_errors_double_within_days(spun_up):
    """As in the atmosphere: about every two to three days, in both seasons."""
    made, begins, states = spun_up
    draws = torch.randn(2, 3, *states.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = torch.complex(*draws).triu() * 100 * torch.exp(-torch.arange(22) / 5)
    noise[..., 0, :].imag = 0
    both = torch.cat([states[None], states + made.model.vorticity(noise)])
    sizes, time = [], made.seconds(begins).repeat(4)
    for day in range(13):
        psi = made.model.streamfunction(both)
        sizes.append((psi[1:] - psi[:1])[:, :, 1].abs().square().sum((-2, -1)).sqrt())
        both = made.advance(both.flatten(0, 1), time + day * DAY, DAY).unflatten(0, (4, 2))
    doubled = torch.stack(sizes)[[3, 12]].log2().diff(dim=0)[0].mean(0)
    assert (9 / doubled > 1.5).all() and (9 / doubled < 4.0).all()
    assert sizes[-1].max() < 0.01 * psi[:1, :, 1].abs().square().sum((-2, -1)).sqrt().min()  # small to the end


@pytest.mark.slow
def test_the_climate_has_jets_and_storms_of_the_size_of_the_earths(spun_up):
    made, begins, states = spun_up
    _, found = made.frames(states, begins, 0, 60)
    jet = found["u_component_of_wind"][:, :, 0].mean((1, 3))  # at 200 hPa, of both seasons
    north, south = made.latitude > 20, made.latitude < -20
    assert 25 < jet[0, north].max() < 75 and 25 < jet[1, south].max() < 75
    assert jet[0, north].max() > 1.2 * jet[1, north].max() and jet[1, south].max() > 1.1 * jet[0, south].max()
    storms = found["geopotential"][:, :, 1].std(1)[:, np.abs(made.latitude) > 30] / 9.80665
    assert 30 < np.sqrt((storms**2).mean()) < 250
