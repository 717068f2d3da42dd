"""Precision and device on each kind of machine."""

import os

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


@pytest.mark.parametrize(
    ("built", "hidden", "expected"),
    [(None, None, "make setup TORCH=cuda"), ("12.8", None, "CUDA 12.8"), (None, "", ""), ("12.8", "0", "CUDA 12.8")],
)
def test_a_gpu_that_torch_cannot_use_is_reported_unless_it_is_hidden(
    built, hidden, expected, tmp_path, monkeypatch, capfd
):
    driver = tmp_path / "version"
    driver.touch()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(machine, "DRIVER", driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert machine.device("auto") == machine.device("cpu") == "cpu"
    said = capfd.readouterr().err
    assert said.count("warning") == bool(expected) and expected in said
    driver.unlink()
    assert machine.device("auto") == "cpu" and capfd.readouterr().err == ""


def test_computing_repeatably_fixes_what_may_vary(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    threads = torch.get_num_threads()
    try:
        machine.compute_reproducibly(1)
        assert torch.get_num_threads() == 1 and torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8" and not torch.backends.cudnn.allow_tf32
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)
