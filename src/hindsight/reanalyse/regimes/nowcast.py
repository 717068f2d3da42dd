"""Nowcast, a filter: a frame uses no observation after it. It is a fixed lag of zero."""

from hindsight.reanalyse.regimes.fixed_lag import cycles

__all__ = ["cycles"]
