"""Programs for accelerators: what can be tested where there are none."""

import functools
import json
from unittest import mock

import jax
import pytest

from benchmarks import compile_for, programs
from mrm_jax.runtime import devices

SMALL = "--batch=8 --labels=3 --samples=200 --width=4 --records=20 --steps=2".split()


@pytest.mark.parametrize("work", compile_for.WORK)
def test_every_call_is_lowered_for_accelerators(work):
    args = compile_for.parser().parse_args(["h100", work, *SMALL])
    call, arguments = compile_for.program(args, 1)
    call = jax.vmap(call, axis_name=devices.AXIS)
    for backend, platform in (("gpu", "cuda"), ("tpu", "tpu")):
        with mock.patch.object(jax, "default_backend", lambda name=backend: name):
            traced = jax.jit(functools.partial(call)).trace(*arguments)
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert "stablehlo.while" in text  # the steps are a loop


def test_missing_compilers_are_named(tmp_path, capsys):
    (tmp_path / "cuda").mkdir()
    assert programs.main(["--targets", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path} has no compilers for tpu. Install them with `make" in error


def test_times_follow_from_the_limits_of_the_device():
    gpu = programs.Program("H100", "training")
    entry = {"xla_gb": 0, "moved_gb": 3.35, "xla_gflop": 0}
    assert programs.times(gpu, entry) == {"ms_of_bytes": pytest.approx(1)}
    tpu = programs.Program("TPU v5e", "training", "bfloat16", 4)
    entry = {"xla_gb": 8.19, "moved_gb": 1, "xla_gflop": 197}
    assert programs.times(tpu, entry) == {
        "ms_of_bytes": pytest.approx(10),
        "ms_of_arithmetic": pytest.approx(1),
    }


def test_every_program_has_a_name_of_its_own_and_valid_flags():
    names = [str(program) for program in programs.PROGRAMS]
    assert len(set(names)) == len(names)
    for program in programs.PROGRAMS:
        compile_for.parser().parse_args(program.flags)


def test_stored_results_belong_to_programs():
    stored = json.loads(programs.RESULTS.read_text())["programs"]
    names = {str(program) for program in programs.PROGRAMS}
    assert set(stored) <= names | {"PyTorch eager, training", "PyTorch eager, scoring"}


@pytest.mark.torch
def test_operations_of_pytorch_are_counted():
    pytest.importorskip("torch", reason="make parity", exc_type=ImportError)
    from benchmarks import eager_kernels

    found = eager_kernels.count()
    assert found["training"]["convolution"] == found["training"]["convolution_backward"]
    assert found["training"]["_fused_adam_"] == 1
    assert found["scoring"].total() < found["training"].total()
