"""From a prior and observations to an analysis."""
