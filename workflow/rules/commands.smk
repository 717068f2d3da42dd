"""Lists of files in commands, shortened by brace expansion, since they grow with the period.

Everything in a shell command is quoted, by `:q` or by one of these functions.
"""

import itertools
import os
import shlex


def constant(word: str) -> str:
    """Quote a setting for a command; braces are doubled, since Snakemake formats commands."""
    return shlex.quote(word).replace("{", "{{").replace("}", "}}")


def braced(files: list[str]) -> str:
    """Shorten files by brace expansion, `a/{x,y}-{0,1}.nc`, in the same order: a command has at most 128 KiB."""
    runs = itertools.groupby(
        map(split_path, files), key=lambda part: (part[0], part[2])
    )
    return " ".join(
        f"{escape(folder)}{combine([name for _, name, _ in run])}{escape(ending)}"
        for (folder, ending), run in runs
    )


def split_path(file: str) -> tuple[str, str, str]:
    """Folder, name and suffix of a file; for the metadata file of a store, `.zarr/zarr.json` is the suffix."""
    store = ".zarr/zarr.json"
    ending = store if file.endswith(store) else os.path.splitext(file)[1]
    name = os.path.basename(file.removesuffix(ending))
    return file[: len(file) - len(name + ending)], name, ending


def escape(word: str) -> str:
    """Quote a word for Bash, also inside braces."""
    quoted = shlex.quote(word) if word else ""
    return quoted.replace(",", r"\,") if quoted == word else quoted


def combine(names: list[str]) -> str:
    """Brace expression of names: all combinations of heads and tails where possible, else alternatives."""
    pairs = [name.rpartition("-")[::2] for name in names]
    heads, tails = (list(dict.fromkeys(part)) for part in zip(*pairs))
    if all(heads) and pairs == list(itertools.product(heads, tails)):
        return f"{alternatives(heads)}-{alternatives(tails)}"
    return alternatives(names)


def alternatives(words: list[str]) -> str:
    """Brace expression of alternatives; a single word needs no braces, which Bash would keep."""
    quoted = [escape(word) for word in words]
    return quoted[0] if len(quoted) == 1 else f"{{{','.join(quoted)}}}"


def input_list(name: str):
    """Parameter of a rule: the files of one of its inputs, for its command."""
    return lambda wildcards, input: braced(input.get(name))
