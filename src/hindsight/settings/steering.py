"""Settings of steering, which shifts samples away from what a prior has memorised."""

from pydantic import Field, model_validator

from hindsight.settings.section import Section


class Steering(Section):
    """Shifts of the network's features from training frames to held-out ones (`train/steering.safetensors`)."""

    strength: float = Field(
        0.0,
        ge=0,
        description="multiple of the difference between the mean features of held-out and training frames that is "
        "added while frames are denoised; 0: none",
    )
    below: float = Field(3.0, gt=0, description="frames are steered while their noise level is below this")
    above: float = Field(0.02, gt=0, description="and above this")

    @model_validator(mode="after")
    def _some_levels(self) -> "Steering":
        if self.above >= self.below:
            raise ValueError(f"no noise level is below {self.below:g} and above {self.above:g}; raise `below`")
        return self
