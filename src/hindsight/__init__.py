"""hindsight: reanalyses of the atmosphere with a video diffusion prior."""

__version__ = "0.1.0"
