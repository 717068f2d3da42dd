"""List the files of a source, for steps that read thousands of them: too many names for a command line."""

import json
from pathlib import Path

from hindsight.fields import store
from hindsight.settings import Download, remote_files, sizes_and_times, source_files


def run(settings: Download, *, data: str, sources: Path) -> None:
    """List the files of a source, fetched files first, with the size and time of each."""
    files = [*remote_files(settings), *source_files(settings, data)]
    text = json.dumps(sizes_and_times(files), indent=0)
    store.replace(sources, lambda partial: partial.write_text(text))
