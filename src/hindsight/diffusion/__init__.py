"""Per-frame diffusion: levels, plans, the closed-form start, guidance, samplers. Knows no network and no station."""
