from importlib import util

import pytest

from mrm_jax.runtime import compiler


@pytest.mark.parametrize("given", [None, "", "--xla_tpu_other=1"])
def test_missing_flags_are_put_before_those_of_the_user(given):
    found = compiler.tpu_flags(given).split()
    ours = [f"--{name}={value}" for name, value in compiler.TPU_FLAGS.items()]
    assert found == [*ours, *(given or "").split()]


def test_flags_of_the_user_are_kept():
    given = "--xla_tpu_scoped_vmem_limit_kib=16384"
    found = compiler.tpu_flags(given)
    assert found == f"--xla_tpu_enable_deduplicated_calls=true {given}"
    assert compiler.tpu_flags(found) == found


@pytest.fixture
def set_up(monkeypatch):
    """Sets up the compiler for a test, but leaves the tests' cache as it is."""
    monkeypatch.setattr(compiler, "_use_cache", lambda: None)
    monkeypatch.setenv("LIBTPU_INIT_ARGS", "--xla_tpu_other=1")
    return compiler.set_up


@pytest.mark.parametrize("is_installed", [True, False])
def test_flags_are_set_where_the_library_of_tpus_is(set_up, is_installed, monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda name: is_installed or None)
    set_up()
    flags = compiler.os.environ["LIBTPU_INIT_ARGS"]
    assert ("scoped_vmem" in flags) == is_installed
    assert flags.endswith("--xla_tpu_other=1")
