"""What commands are told: lists of files that grow with the period, short enough for a shell.

Whatever a shell is given is quoted, by `:q` or by one of these.
"""

import itertools
import os
import shlex


def constant(word: str) -> str:
    """A setting as one word of a command that is the same for all jobs; Snakemake formats commands, so braces are two."""
    return shlex.quote(word).replace("{", "{{").replace("}", "}}")


def braced(files: list[str]) -> str:
    """Files as Bash writes many in few words, `a/{x,y}-{0,1}.nc`, in their order: a command has 128 KiB at most."""
    runs = itertools.groupby(map(apart, files), key=lambda part: (part[0], part[2]))
    return " ".join(
        f"{plain(folder)}{joint([name for _, name, _ in run])}{plain(ending)}"
        for (folder, ending), run in runs
    )


def apart(file: str) -> tuple[str, str, str]:
    """Folder, name and ending of a file; a store's are those of its folder, with its metadata file for an ending."""
    store = ".zarr/zarr.json"
    ending = store if file.endswith(store) else os.path.splitext(file)[1]
    name = os.path.basename(file.removesuffix(ending))
    return file[: len(file) - len(name + ending)], name, ending


def plain(word: str) -> str:
    """A word that means itself to Bash, also inside of braces."""
    quoted = shlex.quote(word) if word else ""
    return quoted.replace(",", r"\,") if quoted == word else quoted


def joint(names: list[str]) -> str:
    """Names as one word: all heads with all tails, or one after the other."""
    pairs = [name.rpartition("-")[::2] for name in names]
    heads, tails = (list(dict.fromkeys(part)) for part in zip(*pairs))
    if all(heads) and pairs == list(itertools.product(heads, tails)):
        return f"{either(heads)}-{either(tails)}"
    return either(names)


def either(words: list[str]) -> str:
    """One word after the other; braces with nothing to choose from would stay."""
    quoted = [plain(word) for word in words]
    return quoted[0] if len(quoted) == 1 else f"{{{','.join(quoted)}}}"


def listed(name: str):
    """An input as its command lists it."""
    return lambda wildcards, input: braced(input.get(name))
