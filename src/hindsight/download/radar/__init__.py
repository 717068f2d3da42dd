"""Source `radar`: list radar composites and make rain rates of them. The steps are `composites`, then `radar`.

`composite` says what a composite is; it is read by `knmi`, `odim` (both with `hdf5`) or `fmi`. `rain_rates` makes rates
of reflectivities, averages and cuts.
"""
