"""What the machine has: its device, the precision it computes in natively, what its processor is called."""

import platform
from pathlib import Path

import torch

NATIVE = {"avx512_bf16", "amx_bf16", "bf16"}  # what Linux calls bfloat16 arithmetic on x86 and on Arm
CPU_INFO = Path("/proc/cpuinfo")


def device(name: str) -> str:
    """Resolve `auto` to what the machine has."""
    return name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def precision(name: str, where: str | torch.device, processor: Path = CPU_INFO) -> str:
    """Resolve `auto`: bfloat16 where the device computes in it natively, else float32.

    A processor without it emulates it: a training step of the demo then takes five times as long as in float32 (AVX2;
    docs/decisions/0013).

    Args:
        name: auto, float32 or bfloat16.
        where: the device.
        processor: what Linux says of the processor; where there is no such file, bfloat16 is not taken for granted.
    """
    if name != "auto":
        return name
    if torch.device(where).type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if NATIVE & flags(processor) else "float32"


def flags(processor: Path = CPU_INFO) -> set[str]:
    """What the processor can do, in Linux's words; nothing where that is not told."""
    return {flag for name in ("flags", "Features") for flag in _told(processor, name).split()}


def called(where: str | torch.device = "cpu", processor: Path = CPU_INFO) -> str:
    """The device's name, for the log and for figures: `AMD EPYC 7763, avx2, 1 thread(s)`, or a GPU's."""
    if torch.device(where).type == "cuda":
        return torch.cuda.get_device_name(where)
    name = _told(processor, "model name") or platform.processor() or platform.machine()
    wide = [flag for flag in ("avx2", "avx512f", *sorted(NATIVE)) if flag in flags(processor)]
    return ", ".join([name, *wide, f"{torch.get_num_threads()} thread(s)"])


def _told(processor: Path, name: str) -> str:
    lines = processor.read_text().splitlines() if processor.is_file() else []
    return next((value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == name), "")
