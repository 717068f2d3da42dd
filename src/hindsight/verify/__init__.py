"""Compare analyses with the truth, or a reference, and with withheld observations; scores and report."""
