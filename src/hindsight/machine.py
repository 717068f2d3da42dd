"""The device of this machine, its native precision and its name, and reproducible arithmetic."""

import os
import platform
import sys
from pathlib import Path

import torch

NATIVE = {"avx512_bf16", "amx_bf16", "bf16"}  # flags of bfloat16 arithmetic in Linux, on x86 and Arm
CPU_INFO = Path("/proc/cpuinfo")
DRIVER = Path("/proc/driver/nvidia/version")


def device(name: str) -> str:
    """Resolve `auto`: cuda if available, else cpu, with a warning if the machine has a GPU that torch cannot use."""
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "cuda"
    if reason := unused_gpu():
        print(f"warning: {reason}; computing on the CPU", file=sys.stderr, flush=True)
    return "cpu"


def unused_gpu() -> str:
    """Why torch uses no GPU although NVIDIA's driver is loaded; empty if it uses one, or there is no driver.

    An empty CUDA_VISIBLE_DEVICES hides GPUs on purpose, as SLURM does from jobs that asked for none.
    """
    if torch.cuda.is_available() or not DRIVER.is_file() or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return ""
    if not torch.version.cuda:
        return "there is an NVIDIA GPU, and this torch was built without CUDA (make setup TORCH=cuda)"
    return f"there is an NVIDIA GPU, and torch (CUDA {torch.version.cuda}) cannot use it; nvidia-smi names the driver"


def precision(name: str, where: str | torch.device, processor: Path = CPU_INFO) -> str:
    """Resolve `auto`: bfloat16 where the device computes in it natively, else float32.

    Other processors emulate it: a training step of the demo then takes five times as long as in float32 (AVX2;
    docs/decisions/0013).

    Args:
        name: auto, float32 or bfloat16.
        where: the device.
        processor: Linux's description of the processor; without this file the precision is float32.
    """
    if name != "auto":
        return name
    if torch.device(where).type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if NATIVE & processor_flags(processor) else "float32"


def processor_flags(processor: Path = CPU_INFO) -> set[str]:
    """Flags of the processor according to Linux; empty if they are unknown."""
    return {flag for name in ("flags", "Features") for flag in _entry(processor, name).split()}


def compute_reproducibly(threads: int) -> None:
    """Compute with a number of threads so that the same device gives the same bytes again, in float32 and not TF32.

    To be called before the first product on a GPU: cuBLAS sums in a fixed order only if its workspace is fixed before.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.allow_tf32 = False  # convolutions would have 10 bits of mantissa otherwise


def device_name(where: str | torch.device = "cpu", processor: Path = CPU_INFO) -> str:
    """Name of the device for logs and figures, such as `AMD EPYC 7763, avx2, 1 thread(s)`."""
    if torch.device(where).type == "cuda":
        return torch.cuda.get_device_name(where)
    name = _entry(processor, "model name") or platform.processor() or platform.machine()
    vector = [flag for flag in ("avx2", "avx512f", *sorted(NATIVE)) if flag in processor_flags(processor)]
    return ", ".join([name, *vector, f"{torch.get_num_threads()} thread(s)"])


def _entry(processor: Path, name: str) -> str:
    lines = processor.read_text().splitlines() if processor.is_file() else []
    return next((value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == name), "")
