"""Per-frame diffusion: noise levels and schedules, the linear prior, guidance, sampling; for any network."""
