"""Every setting, typed and checked: one module a stage.

`read` turns a configuration into `Settings` or lists all its mistakes. `stage_settings` selects the settings that one
stage reads, so that changing one stage's settings reruns that stage and the stages after it, and nothing else.
"""

import inspect
import json
from pathlib import Path
from typing import Annotated, get_args

from pydantic import AfterValidator, Field, ValidationError, model_validator

from hindsight.errors import UserError
from hindsight.settings import credentials
from hindsight.settings.archive import Archive, Encoding
from hindsight.settings.baselines import Baselines, OptimalInterpolation
from hindsight.settings.controller import Controller
from hindsight.settings.domain import Domain, DomainWithoutPeriods, TrainingDomain
from hindsight.settings.download import Download, WorldWithoutPeriod
from hindsight.settings.hours import in_words, is_whole
from hindsight.settings.input_files import (
    bucket_folder,
    check_files,
    choice_files,
    coastline_files,
    expanded,
    remote_files,
    report_files,
    sizes_and_times,
    source_files,
    static_files,
    station_files,
    with_all_denials,
)
from hindsight.settings.observe import Observe, RealReports
from hindsight.settings.preprocess import Preprocess, Regrid
from hindsight.settings.product import Division, Ensemble, Product
from hindsight.settings.reanalyse import Reanalyse, Sampling
from hindsight.settings.section import Section
from hindsight.settings.train import Audit, Train
from hindsight.settings.verify import Comparison, Verify

__all__ = [
    "check_files",
    "choice_files",
    "coastline_files",
    "report_files",
    "sizes_and_times",
    "remote_files",
    "source_files",
    "static_files",
    "station_files",
    "with_all_denials",
]
SECTIONS = {  # by their names in the files of `stage_settings`, which are those of the classes
    "domain_without_periods": DomainWithoutPeriods,
    "training_domain": TrainingDomain,
    "division": Division,
    "ensemble": Ensemble,
    "domain": Domain,
    "regrid": Regrid,
    "download": Download,
    "world_without_period": WorldWithoutPeriod,
    "preprocess": Preprocess,
    "observe": Observe,
    "real_reports": RealReports,
    "train": Train,
    "controller": Controller,
    "sampling": Sampling,
    "product": Product,
    "reanalyse": Reanalyse,
    "baselines": Baselines,
    "verify": Verify,
    "archive": Archive,
    "encoding": Encoding,
    "optimal_interpolation": OptimalInterpolation,
    "comparison": Comparison,
}
PARTS = {  # sections that are a part of another section
    "domain_without_periods": "domain",
    "training_domain": "domain",
    "regrid": "preprocess",
    "real_reports": "observe",
    "division": "product",
    "ensemble": "product",
    "sampling": "reanalyse",
    "encoding": "archive",
    "optimal_interpolation": "baselines",
    "comparison": "verify",
    "world_without_period": "download",
}
STAGE_SECTIONS = {  # of other stages, for each stage; most have no period, so that years can be added
    "download": [],
    "manifest": ["domain", "download", "comparison"],
    "regrid": ["domain_without_periods"],
    "join": ["domain"],
    "preprocess": ["training_domain"],
    "observe": ["domain_without_periods"],
    "collect": ["domain_without_periods", "real_reports"],
    "calibrate": ["training_domain"],
    "screen": ["domain_without_periods", "real_reports"],
    "denials": ["real_reports"],
    "tune": ["training_domain", "real_reports"],
    "train": ["training_domain"],
    "audit": ["training_domain", "train"],
    "controller": ["training_domain", "sampling"],
    "plan": ["domain", "product", "reanalyse", "encoding"],
    "reanalyse": ["domain_without_periods", "division"],
    "covariance": ["training_domain", "optimal_interpolation"],
    "baselines": ["training_domain", "ensemble", "world_without_period"],
    "feedback": ["domain_without_periods", "division"],
    "verify": ["domain", "ensemble"],
    "archive": ["domain", "ensemble", "reanalyse", "observe"],
    "explore": ["comparison", "archive"],
}


class Settings(Section):
    """A whole configuration."""

    run: str = Field("run", pattern=r"^[a-z0-9_]+$", description="name of the folder under results/")
    data: Annotated[str, AfterValidator(expanded)] = Field(
        "../shared/data",
        description="the data folder, to which paths of other files are relative; ~ and $NAME as in a shell",
    )
    domain: Domain = Field(Domain(), description="channels, region, periods")
    download: Download = Field(Download(), description="source of the fields")
    preprocess: Preprocess = Field(Preprocess(), description="from the source to the fields of the pipeline")
    observe: Observe = Field(Observe(), description="networks of observations in the test period")
    train: Train = Field(Train(), description="how the prior is trained")
    controller: Controller = Field(Controller(), description="a controller of the prior, for guidance `controlled`")
    product: Product = Field(Product(), description="the analyses to make: members, shards, seed; limits of their cost")
    reanalyse: Reanalyse = Field(Reanalyse(), description="how the prior and observations are combined to an analysis")
    baselines: Baselines = Field(Baselines(), description="other analyses to compare with")
    verify: Verify = Field(Verify(), description="scores and report")
    archive: Archive = Field(Archive(), description="the published data set")

    @model_validator(mode="after")
    def _sections_agree(self) -> "Settings":
        wrong = [*self._channels_unknown(), *self._noise_levels_untrained(), *self._stride_too_long()]
        wrong += [
            *self._synthetic_world_too_small(),
            *self._waves_on_a_region(),
            *self._lags_not_whole_frames(),
            *self._members_in_several_jobs(),
        ]
        world = self.download.synthetic.world if self.download.source == "synthetic" else "none"
        wrong += [
            *self.reanalyse.guidance.without_points(self.train.points.share),
            *self._simulated_from_no_truth(),
            *self.baselines.without_equations(world, self.domain.channels),
        ]
        periodic = "periodic" in (self.domain.latitude_edges, self.domain.longitude_edges)
        reports = [name for name in self.observe.networks if name not in self.observe.simulated]
        wrong += self.download.masked_points_with(self.preprocess.spacing, periodic, reports)
        if self.product.shard_frames % self.archive.chunk_frames:
            wrong.append(
                f"product.shard_frames: {self.product.shard_frames} is not a multiple of archive.chunk_frames"
                f" ({self.archive.chunk_frames}), so a shard would not consist of whole chunks"
            )
        if self.archive.network not in (None, *self.observe.networks):
            wrong.append(f"archive.network: there is no network {self.archive.network!r} in observe.networks")
        if wrong:
            raise ValueError("\n  ".join(wrong))
        return self

    def _channels_unknown(self) -> list[str]:
        from hindsight.settings.lexicon import CHANNELS, nearest

        names = [("domain.channels", name, CHANNELS) for name in self.domain.channels]
        for network, spec in self.observe.networks.items():
            for key in ("noise", "error"):
                given = getattr(spec, key)
                missing = [c for c in self.domain.channels if c not in given] if isinstance(given, dict) else []
                names += [(f"observe.networks.{network}.{key} lacks", name, {}) for name in missing]
        listed = {"verify.events": self.verify.events, "preprocess.transforms": self.preprocess.transforms}
        names += [(where, name, self.domain.channels) for where, some in listed.items() for name in some]
        return [
            f"{where}: {name!r}" + (f"; {nearest(name, list(known))}" if known else "")
            for where, name, known in names
            if name not in known
        ]

    def _noise_levels_untrained(self) -> list[str]:
        if self.reanalyse.sigma_min < self.train.sigma_min or self.reanalyse.sigma_max > self.train.sigma_max:
            levels = f"{self.reanalyse.sigma_min} to {self.reanalyse.sigma_max}"
            return [
                f"reanalyse: noise levels {levels} reach beyond those of train"
                f" ({self.train.sigma_min} to {self.train.sigma_max}); set reanalyse.sigma_min and sigma_max within"
            ]
        return []

    def _stride_too_long(self) -> list[str]:
        window = self.reanalyse.frames or self.train.window
        if self.reanalyse.stride > window:
            return [
                f"reanalyse.stride: {self.reanalyse.stride} frames would leave gaps between windows of"
                f" {window} (reanalyse.frames, or train.window)"
            ]
        return []

    def _lags_not_whole_frames(self) -> list[str]:
        chosen, step, wrong = self.reanalyse, self.domain.step_hours, []
        for name, hours in (("lag_hours", chosen.lag_hours), ("window.hop_hours", chosen.window.hop_hours)):
            if hours and not is_whole(hours, step):
                wrong.append(
                    f"reanalyse.{name}: {in_words(hours)} is not a whole number of frames ({in_words(step)} each)"
                )
        lag = chosen.lag_frames(step)
        if chosen.regime in ("fixed_lag", "particle_filter") and lag >= chosen.context:
            wrong.append(
                f"reanalyse.lag_hours: {in_words(chosen.lag_hours or 0)} are {lag} frames, too long for the window of"
                f" regime {chosen.regime} (reanalyse.context = {chosen.context}); raise context or shorten the lag"
            )
        return wrong

    def _members_in_several_jobs(self) -> list[str]:
        chosen, product = self.reanalyse, self.product
        together = chosen.selection.passes > 0 or chosen.uses("window")
        if together and product.antithetic:
            return [
                "product.antithetic: members that are resampled are no pairs; set it to false"
                " (reanalyse.selection.passes, or regimes sliding and particle_filter)"
            ]
        if together and product.member_block < product.members:
            return [
                f"product.member_block: members are weighted relative to each other, so all {product.members} must be"
                f" in one job, not {product.member_block} (reanalyse.selection.passes, or regimes "
                "sliding and particle_filter)"
            ]
        return []

    def _simulated_from_no_truth(self) -> list[str]:
        against, names = self.verify.against, self.observe.simulated
        if against == "truth" or not names:
            return []
        return [
            f"verify.against: {against}, but the observations of {', '.join(names)} (observe.networks) are simulated"
            " from the fields of the test period, which makes these the truth; set verify.against: truth, or use only"
            " networks of kind: reports"
        ]

    def _synthetic_world_too_small(self) -> list[str]:
        world, wrong = self.download.synthetic, []
        if self.download.source != "synthetic":
            return wrong
        if world.step_hours != self.domain.step_hours:
            wrong.append(
                f"domain.step_hours: {self.domain.step_hours:g}, and the built-in world makes a frame every"
                f" {in_words(world.step_hours)} (download.synthetic.step_hours)"
            )
        for name, period in self.verify.splits(self.domain).items():
            if period.start < world.start or period.end >= world.last + world.step:
                wrong.append(
                    f"domain.{name}: lies outside the built-in world ({world.start:%Y-%m-%d} to {world.end:%Y-%m-%d});"
                    " set download.synthetic.start and end"
                )
        return wrong

    def _waves_on_a_region(self) -> list[str]:
        globe = [self.domain.latitude_edges, self.domain.longitude_edges] == ["pole", "periodic"]
        if self.train.linear_prior.basis == "waves" and not globe and not self.domain.torus:
            return [
                "train.linear_prior.basis: waves are for the whole globe, or for a square that is periodic both ways; "
                "set domain.latitude_edges: pole (or periodic) and domain.longitude_edges: periodic, "
                "or basis: empirical"
            ]
        return []

    @property
    def archived_network(self) -> str:
        """The network whose analysis is archived."""
        return self.archive.network or next(iter(self.observe.networks))


def read(config: dict) -> Settings:
    """Check a whole configuration.

    Raises:
        UserError: listing everything that is wrong with it at once.
    """
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        raise UserError("the configuration has mistakes:\n" + _mistakes(error, Settings)) from None


def _mistakes(error: ValidationError, section: type[Section]) -> str:
    lines = []
    for mistake in error.errors():
        where = ".".join(map(str, mistake["loc"]))
        what = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            what = f"there is no such setting; {_hint(mistake['loc'], section)}"
        given = f" (got {mistake['input']!r})" if _may_be_printed(mistake) else ""
        lines.append(f"  {where}: {what}{given}" if where else f"  {what}")
    return "\n".join(lines)


def _hint(location: tuple[int | str, ...], section: type[Section]) -> str:
    """The settings whose names are most similar to that at a location in a section."""
    from hindsight.settings.lexicon import nearest

    for key in location[:-1]:  # names in a dictionary and numbers in a list are no fields, and change nothing
        annotation = section.model_fields[key].annotation if key in section.model_fields else None
        kinds = (annotation, *get_args(annotation))
        section = next((kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, Section)), section)
    return nearest(str(location[-1]), list(section.model_fields))


def _may_be_printed(mistake: dict) -> bool:
    """Whether an error message may show the value: not a section, and not possibly a credential."""
    secret = "options" in mistake["loc"] or mistake["type"] == "extra_forbidden"
    return not secret and not isinstance(mistake["input"], dict | Section)


def download_request(settings: Settings) -> Download:
    """The settings of `download`, with what they leave open taken from the domain, and a margin around its region."""
    chosen, domain = settings.download, settings.domain
    if chosen.source == "synthetic":
        return chosen
    margin = settings.preprocess.spacing or 0.0
    reach = {"south": -margin, "north": margin, "west": -margin, "east": margin}
    whole = domain.latitude_edges == "pole"
    url = bucket_folder(settings) or chosen.bucket.url
    update = {
        "bucket": chosen.bucket.model_copy(update={"url": url}),
        "channels": chosen.channels or domain.channels,
        "levels": chosen.levels or settings.preprocess.levels,
        "periods": chosen.periods or list(settings.verify.splits(domain).values()),
        "step_hours": chosen.step_hours or domain.step_hours,
    }
    for edge, further in reach.items():
        given, needed = getattr(chosen, edge), getattr(domain, edge)
        update[edge] = given if given is not None or needed is None or whole else _within(edge, needed + further)
    return chosen.model_copy(update=update)


def _within(edge: str, value: float) -> float:
    """A latitude limited to the poles, or a longitude limited to -180 to 360."""
    low, high = (-90.0, 90.0) if edge in ("south", "north") else (-180.0, 360.0)
    return min(max(value, low), high)


def stage_settings(settings: Settings, stage: str) -> str:
    """The settings that a stage reads, as JSON; `configuration` means all of them.

    Credentials are hidden; `credentials.write` stores them for the steps that need them. Only `observe` is told of
    cross-validations, which change nothing else, and `train` not of the audit, which changes no weight.
    """
    if stage == "train":
        train = settings.train.model_copy(update={"audit": Audit()})
        settings = settings.model_copy(update={"train": train})
    if stage != "observe":
        settings = settings.model_copy(update={"observe": settings.observe.without_folds()})
    if stage == "configuration":
        return settings.model_dump_json(indent=1)
    if stage == "download":  # not the periods, which part names contain, nor settings of the manifest
        update = {"periods": [], "missing": [], "accepted": [], "missing_points": None}
        part = download_request(settings).model_copy(update=update)
        return json.dumps({"download": part.model_dump(mode="json")}, indent=1, sort_keys=True)
    sections = [*STAGE_SECTIONS[stage], *([stage] if stage in SECTIONS else [])]
    part = {name: _section_of(settings, name).model_dump(mode="json") for name in sections}
    return json.dumps(part, indent=1, sort_keys=True)


def _section_of(settings: Settings, name: str) -> Section:
    """A section of the settings, by name; it may be a part of another section."""
    whole = download_request(settings) if name == "download" else getattr(settings, PARTS.get(name, name))
    if name not in PARTS:
        return whole
    if name in type(whole).model_fields:
        return getattr(whole, name)
    return SECTIONS[name].model_validate({field: getattr(whole, field) for field in SECTIONS[name].model_fields})


def load(path: Path, sections: list[type[Section]]) -> list[Section]:
    """Load sections from a stage's settings file.

    Raises:
        UserError: if the file is missing, is not JSON, lacks a section or contains mistakes.
    """
    try:
        part = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the settings file {path} ({error}); snakemake writes it") from None
    part = credentials.fill_in(part, Path(path))
    return [_section(path, part, section) for section in sections]


def _section(path: Path, part: dict, section: type[Section]) -> Section:
    name = next(name for name, known in SECTIONS.items() if known is section)
    if name not in part:
        raise UserError(f"{path} has no section {name!r} (it has: {', '.join(part)})")
    try:
        return section.model_validate(part[name])
    except ValidationError as error:
        raise UserError(f"{path}: section {name!r} has mistakes:\n{_mistakes(error, section)}") from None
