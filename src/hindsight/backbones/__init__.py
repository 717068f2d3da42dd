"""Networks, independent of data and noise schedules."""
