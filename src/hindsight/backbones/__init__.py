"""Networks: they know neither data nor noise schedules."""
