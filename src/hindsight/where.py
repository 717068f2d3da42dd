"""`hindsight where`: print the path of the Snakefile, or of the folder of profiles, configurations or rules.

A clone has them in its root folder; an installed package has them in `hindsight/share` (`setup.py`).
"""

import argparse
from pathlib import Path

PLACES = {"snakefile": "Snakefile", "profiles": "profiles", "config": "config", "workflow": "workflow"}
PACKAGE = Path(__file__).parent


def main(argv: list[str]) -> int:
    """Print one path; return the exit code 0."""
    parser = argparse.ArgumentParser(prog="hindsight where", description="Print where a part of the workflow is.")
    parser.add_argument("place", nargs="?", choices=PLACES, default="snakefile", help="default: snakefile")
    print(path(parser.parse_args(argv).place))
    return 0


def path(place: str, package: Path = PACKAGE) -> Path:
    """The absolute path of a place of `PLACES`."""
    share = package / "share"
    return (share if share.is_dir() else package.parents[1]) / PLACES[place]
