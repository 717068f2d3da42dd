"""Precision and device on each kind of machine."""

import pytest
import torch

from hindsight import machine

PROCESSORS = {
    "avx2": ("model name\t: AMD EPYC 7763\nflags\t\t: fpu sse2 avx2 fma\n", "float32"),
    "avx512 without it": ("model name\t: Xeon\nflags\t\t: avx2 avx512f avx512bw avx512vl\n", "float32"),
    "avx512_bf16": ("model name\t: EPYC 9\nflags\t\t: avx2 avx512f avx512_bf16\n", "bfloat16"),
    "amx": ("model name\t: Xeon 4\nflags\t\t: avx2 amx_bf16 amx_tile\n", "bfloat16"),
    "arm": ("Features\t: fp asimd bf16\n", "bfloat16"),
    "older arm": ("Features\t: fp asimd\n", "float32"),
}


@pytest.mark.parametrize("cpuinfo, expected", PROCESSORS.values(), ids=PROCESSORS)
def test_auto_is_bfloat16_if_native(cpuinfo, expected, tmp_path):
    processor = tmp_path / "cpuinfo"
    processor.write_text(cpuinfo)
    assert machine.precision("auto", "cpu", processor) == expected
    assert machine.precision("float32", "cpu", processor) == "float32"
    assert machine.precision("bfloat16", "cpu", processor) == "bfloat16"


def test_an_unknown_processor_computes_in_float32(tmp_path):
    assert machine.precision("auto", "cpu", tmp_path / "absent") == "float32"
    assert machine.device_name("cpu", tmp_path / "absent").endswith("thread(s)")


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_computes_in_bfloat16_if_native(native, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert machine.precision("auto", "cuda") == ("bfloat16" if native else "float32")


def test_the_name_of_a_processor_has_its_model_and_flags(tmp_path):
    processor = tmp_path / "cpuinfo"
    processor.write_text(PROCESSORS["avx512_bf16"][0])
    assert (
        machine.device_name("cpu", processor)
        == f"EPYC 9, avx2, avx512f, avx512_bf16, {torch.get_num_threads()} thread(s)"
    )


@pytest.mark.parametrize("there", [True, False])
def test_auto_is_a_gpu_where_there_is_one(there, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert machine.device("auto") == ("cuda" if there else "cpu")
    assert machine.device("cpu") == "cpu"
