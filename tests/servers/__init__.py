"""Servers to read from: real ones, on this machine, that can be made to fail."""

import os

os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # before anybody imports gcsfs
