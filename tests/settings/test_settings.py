"""Settings: all mistakes at once, and each stage sees its own part."""

import json
import re
from datetime import datetime

import pytest
import yaml

from hindsight import settings
from hindsight.diffusion import sigmoid
from hindsight.errors import UserError
from hindsight.settings import Archive, Domain, Download, lexicon, read
from tests.workflow.runs import ROOT, merged


def mistakes(config: dict) -> str:
    with pytest.raises(UserError) as error:
        settings.read(config)
    return str(error.value)


def test_all_mistakes_are_listed_at_once_with_their_values():
    text = mistakes(
        {"product": {"members": 1, "memebrs": 3}, "verify": {"confidence": 95}, "run": "My Run", "nonsense": 1}
    )
    for part in (
        "product.members",
        "(got 1)",
        "product.memebrs: there is no such setting; did you mean members",
        "verify.confidence",
        "(got 95)",
        "run:",
        "nonsense",
    ):
        assert part in text


CONTROLLED = {"guidance": {"method": "controlled"}, "regime": "nowcast", "past": "fixed", "sampler": {"step": "ddim"}}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"domain": {"channels": ["z500", "zz"]}}, "domain.channels: 'zz'"),
        ({"domain": {"channels": ["z500", "z500"]}}, "more than once: z500"),
        ({"domain": {"channels": [{"z": [500]}, "z500"]}}, "more than once: z500"),
        ({"domain": {"channels": {"z": 500}}}, r"levels of z are a list of whole numbers \(hPa\)"),
        ({"domain": {"channels": [{"z": ["500 hPa"]}]}}, r"levels of z are a list of whole numbers \(hPa\)"),
        ({"domain": {"channels": {"z": [501]}}}, "domain.channels: 'z501'; did you mean z"),
        ({"domain": {"test": {"start": "2010-01-01", "end": "2009-01-01"}}}, "before it starts"),
        ({"domain": {"test": {"start": "2007-06-01", "end": "2009-01-01"}}}, "train .* and test .* overlap"),
        ({"verify": {"against": "none"}}, "verify.against: none, but the observations of sparse10"),
        ({"verify": {"against": "reference"}}, "observations of sparse10, sparse2 .* are simulated"),
        ({"domain": {"longitude_edges": "pole"}}, "only latitudes end at a pole"),
        ({"train": {"linear_prior": {"basis": "waves"}}}, "waves are for the whole globe, or for a square"),
        ({"domain": {"latitude_edges": "periodic"}}, "latitudes are periodic only on a square"),
        ({"download": {"source": "synthetic"}}, "domain.step_hours: 24, and the built-in world .* every 6 h"),
        ({"download": {"source": "synthetic"}}, "domain.test: lies outside the built-in world"),
        ({"download": {"source": "local", "files": []}}, "a local source needs files"),
        ({"download": {"synthetic": {"levels": [500, 500]}}}, "more than once"),
        ({"download": {"synthetic": {"step_minutes": 7}}}, "does not divide step_hours"),
        ({"download": {"synthetic": {"truncation": 42}}}, "32 latitudes cannot show truncation 42"),
        ({"download": {"synthetic": {"lorenz96": {"variables": 3}}}}, "download.synthetic.lorenz96.variables"),
        ({"download": {"synthetic": {"world": "lorenz96", "end": "1999-01-01"}}}, "before it starts"),
        ({"download": {"synthetic": {"kuramoto_sivashinsky": {"length": 400}}}}, "wavenumbers up to 1.34 on a line"),
        ({"download": {"synthetic": {"navier_stokes": {"points": 24}}}}, "greater than or equal to 26"),
        ({"download": {"synthetic": {"navier_stokes": {"points": 31}}}}, "31 points have no middle"),
        (
            {"download": {"synthetic": {"world": "navier_stokes", "step_hours": 5, "navier_stokes": {"substeps": 7}}}},
            "7 steps in 5 h do not fill a day of the spin-up; take a multiple of 5",
        ),
        ({"observe": {"networks": {"a": {"kind": "land"}}}}, "needs a count of stations"),
        ({"reanalyse": CONTROLLED | {"regime": "batch"}}, "regime is 'batch' with past: fixed; set regime: nowcast"),
        ({"reanalyse": CONTROLLED | {"past": "sampled_again"}}, "regime is 'nowcast' with past: sampled_again; set"),
        ({"reanalyse": CONTROLLED | {"noise_levels": "sigmoid"}}, "'controlled' needs noise_levels: karras, not sig"),
        (
            {"reanalyse": CONTROLLED | {"sampler": {"step": "second_order"}}},
            "trained with ddim steps; set sampler: .st",
        ),
        ({"reanalyse": CONTROLLED | {"sampler": {"step": "ddim", "corrections": 1}}}, "no corrections"),
        ({"reanalyse": CONTROLLED | {"sampler": {}}}, "covariance needs a guidance that can draw"),
        ({"controller": {"share_min": 0.5}}, r"share_min \(0.5\) must not exceed share_max \(0.2\)"),
        ({"controller": {"error_min": 0.5}}, r"error_min \(0.5\) must not exceed error_max \(0.3\)"),
        ({"controller": {"processes": 3}}, r"batch \(8\) must be a multiple of processes \(3\)"),
        ({"controller": {"cost": "truth", "members": 1}}, "compares members with each other; set members: 2"),
        ({"controller": {"every": [1, 0]}}, "frames between observed ones are 1 or more"),
        ({"baselines": {"optimal_interpolation": {"localisation_km": 30000}}}, "localisation_km"),
        ({"observe": {"networks": {"a": {"kind": "stations"}}}}, "needs a file"),
        ({"observe": {"networks": {"a": {"noise": 0}}}}, "above zero"),
        ({"observe": {"networks": {"a": {"noise": {"z500": 0.1}}}}}, "observe.networks.a.noise lacks: 't850'"),
        ({"observe": {"networks": {"a": {"error": 0}}}}, "error must be above zero"),
        ({"observe": {"networks": {"a": {"error": {"z500": 1, "t850": 1, "msl": -1}}}}}, "error must be above zero"),
        ({"observe": {"networks": {"a": {"error": {"z500": 9.0}}}}}, "observe.networks.a.error lacks: 't850'"),
        ({"observe": {"networks": {"a": {"error": 1, "noise": 0.1}}}}, "give one of them"),
        ({"observe": {"networks": {"a": {"noise": None}}}}, "give noise or error"),
        ({"observe": {"networks": {"a b": {}}}}, "lower-case words"),
        ({"observe": {"networks": {}}}, "observe.networks"),
        ({"baselines": {"optimal_interpolation": {"frames": 2}}}, "must be odd"),
        ({"archive": {"network": "none"}}, "there is no network 'none'"),
        ({"archive": {"chunk_frames": 7}}, "not a multiple of archive.chunk_frames"),
        ({"reanalyse": {"sigma_max": 50.0}}, "reach beyond those of train"),
        ({"reanalyse": {"sigma_max": 0.01}}, "must lie below sigma_max"),
        (
            {"download": {"missing_points": 0.1}, "preprocess": {"spacing": 1.5}},
            "missing_points must be null with preprocess.spacing",
        ),
        (
            {"download": {"missing_points": 0.1}, "domain": {"longitude_edges": "periodic"}},
            "missing_points must be null with a periodic domain",
        ),
        ({"reanalyse": {"stride": 9}}, "gaps between windows of 8"),
        ({"reanalyse": {"frames": 3}}, r"gaps between windows of 3 \(reanalyse.frames, or train.window\)"),
        (
            {"reanalyse": {"regime": "sliding", "lag_hours": 24, "window": {"carried": 11.0}}},
            r"window.carried \(11.0\) must not exceed sigma_max",
        ),
        (
            {"reanalyse": {"selection": {"passes": 1, "sigma": 11.0}}},
            r"selection.sigma \(11.0\) must lie above sigma_min",
        ),
        (
            {"reanalyse": {"selection": {"passes": 1, "sigma": 0.05}}},
            r"selection.sigma \(0.05\) must lie above sigma_min \(0.05\)",
        ),
        ({"reanalyse": {"guidance": {"gamma": 0.1}}}, r"guidance.gamma belongs to sda and forcing and diagonal"),
        ({"reanalyse": {"guidance": {"iterations": 7}}}, r"guidance.iterations belongs to mmps"),
        ({"reanalyse": {"sampler": {"eta": 0.3}}}, r"sampler.eta is not used by sampler.step covariance"),
        ({"observe": {"quality": {"frames": 4}}}, "frames must be odd"),
        ({"product": {"antithetic": True, "members": 5}}, r"come in pairs, two at least; members \(5\)"),
        ({"product": {"antithetic": True, "members": 2}}, "come in pairs, two at least"),
        (
            {"product": {"antithetic": True}, "reanalyse": {"selection": {"passes": 1}}},
            "members that are resampled are no pairs",
        ),
        ({"train": {"backbone": {"kind": "transformer", "size": "L", "depth": 3}}}, "size L has depth 24, and 3 is"),
        (
            {"reanalyse": {"guidance": {"method": "sda", "zeta": 0.1}, "sampler": {"step": "ddim"}}},
            r"guidance.zeta belongs to dps and forcing, and guidance.method is 'sda'",
        ),
        ({"reanalyse": {"regime": "fixed_lag"}}, "regime 'fixed_lag' needs lag_hours"),
        ({"reanalyse": {"regime": "sliding"}}, "regime 'sliding' needs lag_hours"),
        ({"reanalyse": {"lag_hours": 24}}, "regime 'batch' has no lag"),
        ({"reanalyse": {"regime": "nowcast", "lag_hours": 24}}, "regime 'nowcast' has no lag .*set regime: fixed_lag"),
        (
            {"reanalyse": {"regime": "nowcast", "selection": {"passes": 1}}},
            "passes need regime batch, and regime is nowcast",
        ),
        ({"reanalyse": {"regime": "fixed_lag", "lag_hours": 384}}, "16 frames, too long for the window"),
        ({"reanalyse": {"regime": "fixed_lag", "lag_hours": 48, "context": 2}}, r"reanalyse.context = 2\); raise"),
        ({"reanalyse": {"regime": "fixed_lag", "lag_hours": 36}}, r"lag_hours: 36 h is not a whole number of frames"),
        ({"reanalyse": {"regime": "fixed_lag", "lag_hours": 12}}, r"lag_hours: 12 h is not a whole .* \(24 h each\)"),
        (
            {"reanalyse": {"regime": "sliding", "lag_hours": 24, "window": {"hop_hours": 30}}},
            "window.hop_hours: 30 h is not a whole number of frames",
        ),
        *(
            ({"reanalyse": {"guidance": {"method": method}}}, f"covariance needs a guidance that can draw .*'{method}'")
            for method in ("mmps", "sda", "dps", "forcing", "diagonal")
        ),
        *(
            (
                {"reanalyse": {"guidance": {"method": method}, "sampler": sampler}},
                rf"'{method}' is made for deterministic steps; set sampler: \{{step: ddim, eta: 0\}}",
            )
            for method in ("dps", "forcing")
            for sampler in (
                {"step": "covariance", "eta": 0},
                {"step": "second_order", "eta": 0},
                {"step": "ddim"},
                {"step": "ddim", "eta": 0.1},
                {"step": "ddim", "eta": 0, "corrections": 1},
            )
        ),
        (
            {"product": {"members": 16, "member_block": 8}, "reanalyse": {"selection": {"passes": 1}}},
            "product.member_block: .* all 16 must be in one job, not 8",
        ),
        (
            {"product": {"members": 17}, "reanalyse": {"regime": "sliding", "lag_hours": 24}},
            "all 17 must be in one job, not 16",
        ),
        ({"reanalyse": {"guidance": {"method": "fused"}}}, "fused needs a prior trained with observed points"),
        ({"train": {"points": {"error_min": 2.0}}}, r"error_min \(2.0\) must not exceed error_max \(1.0\)"),
        ({"reanalyse": {"guidance": {"method": "magic"}}}, "reanalyse.guidance.method"),
        ({"reanalyse": {"guidance": {"iterations": 33}}}, r"guidance.iterations: .*\(got 33\)"),
        ({"reanalyse": {"sampler": {"eta": 1.1}}}, r"sampler.eta: .*\(got 1.1\)"),
        ({"train": {"equal_share": 0.9, "staircase_share": 0.2}}, "more than 1"),
        ({"train": {"backbone": {"width": 9}}}, "multiple of 8"),
        ({"train": {"learning_rate": float("nan")}}, "finite"),
    ],
)
def test_what_cannot_work_is_refused_by_name(config, says):
    import re

    assert re.search(says, mistakes(config)), mistakes(config)


def test_all_that_is_wrong_with_a_walk_is_told_at_once():
    """Within the section, and between sections."""
    text = mistakes(
        {
            "reanalyse": {
                "sigma_min": 12.0,
                "regime": "sliding",
                "selection": {"passes": 1},
                "guidance": {"method": "forcing"},
            }
        }
    )
    for part in (
        "sigma_min (12.0) must lie below",
        "selection.sigma (0.5)",
        "needs lag_hours",
        "selection.passes",
        "can draw",
        "deterministic",
    ):
        assert part in text
    text = mistakes(
        {
            "product": {"members": 20},
            "reanalyse": {
                "regime": "sliding",
                "lag_hours": 36,
                "window": {"hop_hours": 7},
                "guidance": {"method": "fused"},
                "sigma_max": 50.0,
                "frames": 3,
            },
        }
    )
    for part in ("lag_hours: 36", "hop_hours: 7", "one job, not 16", "train.points.share", "beyond those", "stride: 4"):
        assert part in text


@pytest.mark.parametrize(
    "config",
    [
        {"reanalyse": {"regime": "fixed_lag", "lag_hours": 360}},  # 15 frames: the last that 16 can see
        {"reanalyse": {"regime": "nowcast", "past": "fixed", "context": 1}},
        {"reanalyse": {"regime": "sliding", "lag_hours": 24, "window": {"hop_hours": 48, "reach_km": 500}}},
        {"reanalyse": {"selection": {"passes": 2, "sigma": 10.0}}},
        {"reanalyse": {"guidance": {"method": "fused"}}, "train": {"points": {"share": 0.6}}},
        {"reanalyse": {"guidance": {"method": "forcing"}, "sampler": {"step": "ddim", "eta": 0}}},
        {"reanalyse": {"guidance": {"method": "mmps"}, "sampler": {"step": "second_order", "corrections": 2}}},
        {"reanalyse": {"frames": 16, "stride": 16}},
        {"product": {"members": 17, "member_block": 4}},
    ],
)
def test_what_can_work_is_not_refused(config):
    settings.read(config)


def test_a_stage_reads_only_its_sections():
    chosen = settings.read({})
    for stage, seen in settings.STAGE_SECTIONS.items():
        own = {stage} & set(settings.SECTIONS)
        assert set(json.loads(settings.stage_settings(chosen, stage))) == {*seen, *own}
    before = settings.stage_settings(chosen, "verify")
    changed = settings.read({"train": {"steps": 1}, "archive": {"title": "x"}})
    assert settings.stage_settings(changed, "verify") == before


def test_another_title_of_the_archive_costs_no_second_plan():
    known = settings.stage_settings(settings.read({}), "plan")
    assert settings.stage_settings(settings.read({"archive": {"title": "x", "replace": True}}), "plan") == known
    assert settings.stage_settings(settings.read({"archive": {"spread_share": 0.1}}), "plan") != known


def test_times_of_any_time_zone_become_utc():
    period = {"start": "2000-01-01T02:00+02:00", "end": "2000-12-31T18:00Z"}
    said = settings.read({"domain": {"train": period}, "product": {"epoch": "2000-01-01T00:00-06:00"}})
    assert (said.domain.train.start, said.domain.train.end) == (datetime(2000, 1, 1), datetime(2000, 12, 31, 18))
    assert said.product.epoch == datetime(2000, 1, 1, 6)


def test_settings_of_a_stage_are_loaded_unchanged(tmp_path):
    chosen = settings.read({"product": {"members": 5}})
    file = tmp_path / "archive.json"
    file.write_text(settings.stage_settings(chosen, "archive"))
    assert settings.load(file, [settings.Ensemble, settings.Archive]) == [settings.Ensemble(members=5), chosen.archive]


def test_files_that_are_not_there_are_listed_together(tmp_path):
    chosen = settings.read(
        {
            "data": str(tmp_path),
            "download": {"files": ["a/*.nc"]},
            "verify": {"coastline": "c.json"},
            "observe": {"networks": {"n": {"kind": "stations", "file": "s.csv"}}},
        }
    )
    with pytest.raises(UserError) as error:
        settings.check_files(chosen)
    for part in ("a/*.nc", "c.json", "s.csv", "DATA=FOLDER"):
        assert part in str(error.value)


def test_a_world_is_not_held_to_the_settings_of_another():
    flow = {"truncation": 42, "step_minutes": 7, "levels": [500, 500]}
    found = settings.read({"download": {"synthetic": {"world": "lorenz96"} | flow}})
    assert found.download.synthetic.lorenz96.variables == 40


def test_an_error_takes_the_place_of_noise_also_when_read_again(tmp_path):
    chosen = settings.read({"observe": {"networks": {"a": {"error": 2.0}, "b": {"error": None}}}})
    (tmp_path / "observe.json").write_text(settings.stage_settings(chosen, "observe"))
    [again] = settings.load(tmp_path / "observe.json", [settings.Observe])
    assert again == chosen.observe
    assert (again.networks["a"].noise, again.networks["a"].error) == (None, 2.0)
    assert (again.networks["b"].noise, again.networks["b"].error) == (0.05, None)


def test_waves_may_go_round_a_square_that_is_periodic_both_ways():
    edges = {"latitude_edges": "periodic", "longitude_edges": "periodic"}
    found = settings.read({"domain": edges, "train": {"linear_prior": {"basis": "waves"}}})
    assert found.domain.torus and not settings.Domain(longitude_edges="periodic").torus


def test_steps_that_fill_a_day_need_not_be_a_whole_number_an_hour():
    steps = {"world": "navier_stokes", "step_hours": 9, "navier_stokes": {"substeps": 3}}
    assert settings.Download(source="synthetic", synthetic=steps).synthetic.navier_stokes.substeps == 3


PUBLISHED = {  # ForcingDAS (arXiv:2605.14285): its schedule, its loss, CAT, the optimiser of its scripts, DiT B / 4
    "noise_levels.schedule": "sigmoid",
    "noise_levels.staircase": "pyramid",
    "noise_levels.steps": 100,
    "noise_levels.context": 10,
    "equal_share": 0.0,
    "staircase_share": 0.25,
    "weight": "fused_min_snr",
    "noise_limit": 6.0,
    "learning_rate": 1.4e-4,
    "warmup": 2000,
    "learning_rate_decay": "constant",
    "betas": (0.9, 0.99),
    "weight_decay": 1e-3,
    "clip": 1.0,
    "average": 0.0,
    "keep": "last",
    "points.share": 0.0,
    "linear_prior.form": "white",
    "coordinates": False,
    "backbone.kind": "transformer",
    "backbone.patch": 4,
    "backbone.width": 768,
    "backbone.depth": 12,
    "backbone.heads": 12,
    "backbone.attention": "causal",
    "backbone.positions": "table",
}


def at(found, path):
    for name in path.split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    return found


def given(section, path):
    """Whether a configuration itself says it."""
    name, *rest = path.split(".", 1)
    return name in section and (not rest or given(section[name], rest[0]))


def one_word(name):
    """A configuration with ForcingDAS's design for training, and nothing else changed."""
    config = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) if name else {}
    return merged(config, {"train": {"design": "forcingdas"}})


@pytest.mark.parametrize("name", ["europe", "navier_stokes", "config", "winter", None])
def test_one_word_is_the_published_design_but_for_what_the_configuration_says(name):
    config = one_word(name)
    found = settings.read(config).train
    said = {path for path in PUBLISHED if given(config["train"], path)}
    said -= {"backbone.patch", "backbone.width"}  # of another network, which gives way
    for path, value in PUBLISHED.items():
        assert at(found, path) == (at(config["train"], path) if path in said else value), path


def test_what_the_configuration_says_is_kept_beside_a_design():
    found = settings.read(
        {"train": {"design": "forcingdas", "noise_levels": {"context": 4}, "backbone": {"size": "S"}}}
    ).train
    assert (found.noise_levels.context, found.noise_levels.staircase, found.noise_levels.schedule) == (
        4,
        "pyramid",
        "sigmoid",
    )
    assert (found.backbone.width, found.backbone.depth, found.backbone.heads) == (384, 12, 6)
    assert (found.backbone.kind, found.backbone.patch) == ("transformer", 4)
    chosen = {"design": "forcingdas", "regime": "fixed_lag", "lag_hours": 24, "steps": 10, "sampler": {"eta": 0.0}}
    chosen["sigma_max"] = 40
    walk = settings.read({"reanalyse": chosen}).reanalyse
    assert (walk.steps, walk.past, walk.noise_levels) == (10, "fixed", "sigmoid")
    assert (walk.guidance.method, walk.sampler.step, walk.sampler.eta) == ("forcing", "ddim", 0.0)


BOTH = {"train": {"design": "forcingdas"}, "reanalyse": {"design": "forcingdas"}}


def test_their_levels_are_not_asked_of_a_prior_that_has_not_learnt_them():
    said = mistakes({"reanalyse": {"design": "forcingdas"}})
    assert "noise levels 0.05 to 1825.0 reach beyond those of train (0.02 to 40.0); set reanalyse.sigma_min" in said
    assert settings.read({"reanalyse": {"design": "forcingdas", "sigma_max": 40}}).reanalyse.noise_levels == "sigmoid"
    assert settings.read(BOTH).train.sigma_max == 1825


def test_a_share_that_a_schedule_does_not_use_is_not_counted():
    both = {"staircase_share": 0.6, "equal_share": 0.5}
    assert settings.read({"train": both | {"noise_levels": {"schedule": "sigmoid"}}}).train.staircase_share == 0.6
    assert "add up to more than 1" in mistakes({"train": both})


@pytest.mark.parametrize("own", [{"width": 64, "depth": 2, "heads": 2}, {"depth": 3}])
def test_numbers_of_a_transformer_take_the_place_of_its_size(own):
    found = settings.read({"train": {"design": "forcingdas", "backbone": own}}).train.backbone
    assert found.size is None and {name: getattr(found, name) for name in own} == own
    if "width" not in own:
        assert (found.width, found.heads) == (768, 12)  # those that are not given are the design's


def test_the_level_at_which_finished_frames_are_shown_is_their_fourteenth():
    level = settings.read(BOTH).reanalyse.fixed_sigma
    assert level == pytest.approx(sigmoid.sigmas()[sigmoid.CONTEXT_INDEX], rel=1e-4)


def test_settings_of_a_design_that_were_written_out_say_the_same_when_they_are_read_again(tmp_path):
    chosen = settings.read(one_word("europe") | {"reanalyse": BOTH["reanalyse"]})
    for stage, section in (("train", settings.Train), ("reanalyse", settings.Reanalyse)):
        (tmp_path / stage).write_text(settings.stage_settings(chosen, stage))
        assert settings.load(tmp_path / stage, [section]) == [getattr(chosen, stage)]


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("lorenz96", {}, "train: points.share: observed points need design: hindsight; set it to 0"),
        (
            "europe",
            {"linear_prior": {"form": "space"}},
            "train: linear_prior.form: space needs design: hindsight; forcingdas: white",
        ),
        ("europe", {"window": 65}, "train: window: 65 frames exceed the 64 of a table"),
        (
            "europe",
            {"design": "hindsight", "weight": "fused_min_snr"},
            "weight: fused_min_snr needs linear_prior.form: white",
        ),
        (
            "europe",
            {"noise_levels": {"schedule": "log_uniform"}},
            "noise_levels.staircase: pyramid needs noise_levels.sch",
        ),
        ("europe", {"processes": 5}, "batch (12) must be a multiple of processes (5) times accumulate (1)"),
        ("europe", {"processes": 3, "nodes": 2}, "processes (3) must be a multiple of nodes (2)"),
    ],
)
def test_what_a_design_cannot_be_is_one_sentence(name, changes, says):
    assert says in mistakes(merged(one_word(name), {"train": changes}))


def test_what_a_design_of_sampling_is_made_of_takes_the_place_of_what_a_configuration_says():
    own = {"guidance": {"method": "mmps", "iterations": 2}, "sampler": {"step": "covariance"}, "steps": 10}
    found = settings.read({**BOTH, "reanalyse": own | {"design": "forcingdas"}}).reanalyse
    assert (found.guidance.method, found.sampler.step, found.sampler.eta) == ("forcing", "ddim", 0.0)
    assert (found.past, found.noise_levels, found.steps) == ("fixed", "sigmoid", 10)


BUCKET = {"download": {"source": "bucket", "bucket": {"url": "gs://a/b.zarr"}}}


def test_what_is_asked_of_a_bucket_follows_from_the_domain_with_a_margin_around_it():
    domain = {"channels": ["z500"], "step_hours": 6, "south": 30, "north": 89, "west": -10, "east": 40}
    found = settings.download_request(settings.read(BUCKET | {"domain": domain, "preprocess": {"spacing": 2.5}}))
    assert (found.channels, found.step_hours, found.box) == (["z500"], 6, (27.5, 90.0, -12.5, 42.5))
    assert [p.start.year for p in found.periods] == [2000, 2008, 2009]
    own = {"channels": ["z500", "t850"], "south": 0.0}
    chosen = settings.read({"download": BUCKET["download"] | own, "domain": domain})
    assert settings.download_request(chosen).box[0] == 0.0 and settings.download_request(chosen).channels == [
        "z500",
        "t850",
    ]


def test_fields_of_the_test_period_are_not_asked_for_where_there_are_none():
    reported = {"reports": {"mine": {"source": "metar", "files": ["*"]}}, "networks": {"mine": {"kind": "reports"}}}
    for against, years in (("none", [2000, 2008]), ("reference", [2000, 2008, 2009])):
        chosen = settings.read(BUCKET | {"observe": reported, "verify": {"against": against}})
        assert [p.start.year for p in settings.download_request(chosen).periods] == years
        assert json.loads(settings.stage_settings(chosen, "manifest"))["comparison"] == {"against": against}


def test_a_box_may_lie_across_the_date_line():
    assert settings.Domain(west=170, east=-160).box == (None, None, 170, 200)


def test_a_longer_test_period_changes_nothing_for_pieces_parts_and_training():
    base = settings.read(BUCKET)
    longer = settings.read(BUCKET | {"domain": {"test": {"start": "2009-01-01", "end": "2015-12-31"}}})
    for stage in ("download", "regrid", "preprocess", "observe", "train", "reanalyse", "baselines"):
        assert settings.stage_settings(base, stage) == settings.stage_settings(longer, stage)
    for stage in ("manifest", "join", "plan", "verify", "archive"):
        assert settings.stage_settings(base, stage) != settings.stage_settings(longer, stage)


def test_times_that_may_be_missing_are_times_or_periods():
    given = ["2001-02-03T12:00", {"start": "2002-01-01", "end": "2002-01-03"}]
    found = settings.Download(missing=given)
    times = ((2001, 2, 3, 12), (2001, 2, 3), (2002, 1, 2), (2002, 1, 4))
    allowed = [found.may_be_missing(datetime(*time)) for time in times]
    assert allowed == [True, False, True, False]
    assert settings.Download.model_validate(json.loads(found.model_dump_json())) == found


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"preprocess": {"spacing": 7}}, "7 degrees do not divide 180"),
        ({"preprocess": {"chunk_frames": 100}}, "file_frames .1024. is not a multiple of chunk_frames .100."),
        ({"preprocess": {"piece_frames": 100}}, "piece_frames .100. is not a multiple of file_frames .1024."),
        ({"download": {"source": "bucket"}}, "source: bucket needs bucket.url"),
        ({"download": {"source": "grib"}}, "source: grib needs grib.files"),
        ({"domain": {"channels": ["z50O"]}}, "'z50O'; did you mean z50"),
        ({"preprocess": {"scheduler": "fast"}}, "preprocess.scheduler"),
    ],
)
def test_mistakes_about_sources_and_pieces_are_said_in_words(config, says):
    with pytest.raises(UserError, match=says):
        settings.read(config)


def test_the_lexicon_knows_what_derived_channels_are_made_of():
    from hindsight.settings.lexicon import CHANNELS, COMPUTED, source_channels

    assert [c.name for c in source_channels(["ws850", "u850", "dz500_1000"])] == ["u850", "v850", "z500", "z1000"]
    for channel in CHANNELS.values():
        assert all(part in CHANNELS for part in channel.inputs) and channel.lowest < channel.highest
        assert channel.inputs or channel.names("bucket") or channel.name in COMPUTED


def test_older_configurations_may_set_the_length_of_blocks():
    assert settings.read({"verify": {"block_days": 5}}) == settings.read({})
    with pytest.raises(UserError, match="verify.blocks"):
        settings.read({"verify": {"blocks": 5}})


@pytest.mark.parametrize(("name", "cell", "says"), [
    ("t2n", {}, "there is no channel 't2n'; did you mean t2, t2m"),
    ("tp6", {}, "tp6 is a sum over the 6 h before the frame; leave it out"),
    ("t2m", {"end_hours": -12}, "a period must end after its start, got -12 to -12 h"),
    ("t2m", {"method": "median"}, "'mean', 'maximum', 'minimum' or 'sum'")])  # fmt: skip
def test_a_period_of_values_that_cannot_be_is_refused(name, cell, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        Archive(time_cells={name: {"method": "mean", "start_hours": -12, "end_hours": 12} | cell})


def test_sums_are_known_and_other_periods_are_said():
    said = Archive(time_cells={"t2m": {"method": "maximum", "start_hours": -24, "end_hours": 0}})
    assert said.time_cell("t2m").method == "maximum" and said.time_cell("msl") is None
    assert (said.time_cell("tp24").method, said.time_cell("tp24").start_hours) == ("sum", -24)


def test_folds_become_networks_that_are_not_scored_by_themselves():
    chosen = settings.Settings(observe={"networks": {"a": {"folds": 3}, "b": {}}})
    assert list(chosen.observe.networks) == ["a", "b", "a_fold0", "a_fold1", "a_fold2"]
    assert chosen.observe.scored == ["a", "b"] and chosen.observe.networks["a_fold1"].fold == (1, 3)
    assert list(chosen.observe.without_folds().networks) == ["a", "b"]
    assert settings.Settings.model_validate_json(chosen.model_dump_json()) == chosen


def test_folds_change_the_settings_of_no_stage_but_observe():
    plain, more = (settings.Settings(observe={"networks": {"a": given}}) for given in ({}, {"folds": 3}))
    for stage in ("configuration", "archive", "reanalyse", "verify"):
        assert settings.stage_settings(plain, stage) == settings.stage_settings(more, stage)
    assert "a_fold2" in settings.stage_settings(more, "observe")


LETKF = {"baselines": {"methods": ["letkf"], "letkf": {"model": "dynamics"}}}


def written(name, changes=None):
    return merged(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()), changes or {})


@pytest.mark.parametrize("name", ["lorenz96", "navier_stokes", "kuramoto_sivashinsky"])
def test_a_filter_may_forecast_by_the_equations_of_a_world_whose_fields_are_its_state(name):
    assert settings.read(written(name, LETKF)).baselines.letkf.model == "dynamics"


@pytest.mark.parametrize(("name", "world"), [("config", "quasi_geostrophic"), ("europe", "none")])
def test_a_filter_cannot_forecast_by_equations_that_are_not_known(name, world):
    assert "baselines.letkf.model: dynamics is for the built-in worlds" in (says := mistakes(written(name, LETKF)))
    assert f"the world of this run is {world}, with channels" in says
    settings.read(written(name, {"baselines": {"letkf": {"model": "dynamics"}}}))


def test_a_longer_period_of_the_built_in_world_changes_nothing_for_baselines():
    changes = {}, {"download": {"synthetic": {"end": "2005-12-31"}}}
    given = [settings.stage_settings(settings.read(written("lorenz96", change)), "baselines") for change in changes]
    assert given[0] == given[1] and json.loads(given[0])["world_without_period"]["synthetic"]["world"] == "lorenz96"


def test_variables_on_levels_are_written_out():
    mixed = {"channels": [{"z": [500, 850], "t": [850]}, "msl", {"t2m": None}]}
    expected = ["z500", "z850", "t850", "msl", "t2m"]
    assert Domain.model_validate(mixed).channels == expected
    whole = Domain.model_validate({"channels": {"z": [500, 850], "t": [850], "msl": None, "t2m": None}})
    assert whole.channels == expected == Domain.model_validate(whole.model_dump()).channels
    assert Download.model_validate({"channels": {"z": [50]}}).channels == ["z50"]


def test_winds_are_pairs_by_standard_name_and_height():
    channels = ["v850", "z500", "u10", "u850", "v10", "v500", "ws10", "u300", "x"]
    assert sorted(lexicon.winds(channels)) == [(2, 4), (3, 0)]


def test_era5_at_1p5_degrees_has_69_channels_on_six_lines():
    text = (ROOT / "config/era5_1p5.yaml").read_text()
    found = read(yaml.safe_load(text)).domain.channels
    assert len(found) == 69 and len(lexicon.winds(found)) == 14
    lines = text.split("  channels:\n")[1].split("  step_hours")[0].splitlines()
    assert len(lines) == 6


def test_the_audit_changes_the_settings_of_its_own_step_and_not_of_training():
    plain, more = (settings.Settings(train={"audit": {"limit": limit}}) for limit in (None, 0.7))
    assert settings.stage_settings(plain, "train") == settings.stage_settings(more, "train")
    assert settings.stage_settings(plain, "audit") != settings.stage_settings(more, "audit")


def test_a_controller_depends_on_the_sampling_of_its_roll_outs_and_on_nothing_else_of_reanalyse():
    of = lambda **more: settings.stage_settings(settings.read({"reanalyse": CONTROLLED | more}), "controller")
    assert of() == of(batch=5) == of(threads=2, halo=3) and len({of(), of(steps=5), of(context=4)}) == 3
    assert "sampling" in json.loads(of()) and "guidance" not in json.loads(of())["sampling"]
    train = lambda **more: settings.stage_settings(settings.read(more), "train")
    assert train() == train(controller={"steps": 5})
