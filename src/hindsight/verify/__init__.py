"""Compare analyses with the truth and with withheld observations; scores and report."""
