"""Source `grib`: list the messages of GRIB files and decode them. The steps are `catalogue`, then `grib`.

`catalogue` uses `messages` (headers of one file). `grib` uses, in this order: `part_messages` (the messages that a part
needs), with `series` (the messages of each channel), then `decode` (message to field), with `lattice` (its grid).
"""
