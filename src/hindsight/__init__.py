"""hindsight: reanalyses of the atmosphere with a video diffusion prior."""

__version__ = "0.2.0"
