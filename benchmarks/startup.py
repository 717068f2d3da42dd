"""Time a dry run, and the start of the command line.

python benchmarks/startup.py [--config config/europe.yaml] [--json FILE]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def seconds(*command: str, repeats: int = 5) -> float:
    """Seconds of the fastest of `repeats` runs of a command."""
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        found.append(time.perf_counter() - began)
    return min(found)


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "config/europe.yaml")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dry = seconds(
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--profile",
            str(ROOT / "profiles/local"),
            "--configfile",
            str(arguments.config.resolve()),
            "--config",
            f"data={arguments.data.resolve()}",
            "--directory",
            folder,
            "--dry-run",
        )
    bare = seconds(sys.executable, "-c", "pass")
    found = {
        "dry_run_s": round(dry, 2),
        "import_cli_s": round(seconds(sys.executable, "-c", "import hindsight.cli"), 3),
        "help_s": round(seconds(sys.executable, "-m", "hindsight", "--help"), 3),
        "bare_python_s": round(bare, 3),
    }
    print("\n".join(f"{name:16}{value}" for name, value in found.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
