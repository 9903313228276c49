"""Programs are loaded instead of traced, and only if nothing has changed."""

import dataclasses
import errno
import functools
import inspect
import os
import subprocess
import sys
import textwrap
import time
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models.mrm_net import network
from mrm_jax.runtime import compiler, devices, kept_files, kept_programs, program_keys
from mrm_jax.training.inherited import Inherited
from tests import conftest

CAN_BE_KEPT = kept_programs._can_be_kept  # tests/conftest.py replaces it
VALUES = np.arange(8, dtype=np.float32).reshape(4, 2)
TWO_STEPS = """
import numpy as np
from mrm_jax.runtime import compiler, devices, program_keys
from mrm_jax.training import epoch, input_pipeline, scoring, steps
from mrm_jax.training.hparams import HParams
from tests.helpers import small_states

program_keys._started += 60  # after the sources, however new they are
compiler.set_up()
traces = []
step = steps.packed_step
steps.packed_step = lambda *a, **k: traces.append("step") or step(*a, **k)
model = small_states.MODEL.clone(axis_name=devices.AXIS)
epoch.mapped(model).load_ahead()
state = devices.replicate(small_states.create())
rng = np.random.default_rng(0)
records = devices.replicate(
    input_pipeline.Records.of(
        rng.integers(-500, 500, (8, 40, 12)).astype(np.int16),
        rng.integers(0, 2, (8, 3)).astype(np.uint8),
        np.float32(3),
        np.float32(250),
    )
)
rows = devices.shard_batch(np.arange(8, dtype=np.int32).reshape(1, 8))
hparams = devices.replicate(HParams())
for _ in range(2):
    state, terms = epoch.mapped(model)(state, records, rows, hparams)
scores = scoring.mapped(model)(state, records, rows)
print(traces, float(terms["loss"].sum()).hex(), float(scores["low"].sum()).hex())
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Keeps programs in a folder; those here are too small for JAX's own cache."""
    monkeypatch.setattr(kept_programs, "_can_be_kept", CAN_BE_KEPT)
    monkeypatch.setattr(kept_programs, "_folder", tmp_path / "programs")
    monkeypatch.setattr(program_keys, "_started", time.time() + 60)  # after the sources
    program_keys.sources.cache_clear()
    return tmp_path / "programs"


def traces_of_a_new_call(identity, values=VALUES):
    """Returns how often a new call was traced, whose result is checked."""
    traces = []

    def double(x):
        """Notes that it is traced."""
        traces.append(x)
        return 2 * x

    call = devices.map_and_keep(double, identity)
    call.load_ahead()
    for _ in range(2):
        np.testing.assert_array_equal(call(values), 2 * values)
    return len(traces)


def test_a_known_program_is_not_traced(folder):
    assert traces_of_a_new_call("double") == 1
    suffixes = sorted(path.suffix for path in folder.iterdir())
    assert suffixes == [".key", ".key", ".program"]  # one key names the last program
    assert traces_of_a_new_call("double") == 0


@pytest.mark.parametrize(
    "identity",
    [
        "other",
        ("double", 1),
        ("double", network.MRMNet(3, 40, width=4)),
        ("double", network.MRMNet(3, 40, width=8)),
        ("double", Inherited(frozenset({("a", "kernel"), ("b", "kernel")}))),
    ],
)
def test_another_identity_is_another_program(folder, identity):
    traces_of_a_new_call("double")
    assert traces_of_a_new_call(identity) == 1
    assert traces_of_a_new_call(identity) == 0


def test_other_shapes_and_types_are_another_program(folder):
    assert traces_of_a_new_call("double") == 1
    assert traces_of_a_new_call("double", VALUES[:, :1]) == 1
    assert traces_of_a_new_call("double", VALUES.astype(np.int32)) == 1


def test_another_setting_of_jax_is_another_program(folder):
    assert traces_of_a_new_call("double") == 1
    with jax.default_matmul_precision("highest"):
        assert traces_of_a_new_call("double") == 1


def test_a_setting_that_changes_while_the_process_runs_is_another_program(folder):
    call = kept_programs.KeptCall(jax.jit(lambda x: jnp.sin(x.astype(float))), "sin")
    assert call(VALUES).dtype == np.float32
    with jax.enable_x64(True):
        assert call(VALUES).dtype == np.float64


@pytest.mark.parametrize("name", ["XLA_FLAGS", "LIBTPU_INIT_ARGS"])
def test_other_flags_of_the_compiler_are_another_program(folder, name, monkeypatch):
    assert traces_of_a_new_call("double") == 1
    monkeypatch.setenv(
        name, f"{os.environ.get(name, '')} --xla_cpu_enable_fast_math=false"
    )
    assert traces_of_a_new_call("double") == 1


@pytest.mark.parametrize("setting", ["jax_debug_nans", "jax_disable_jit"])
def test_jax_debugs_a_call_itself(folder, setting):
    jax.config.update(setting, True)
    try:
        traces_of_a_new_call("double")
    finally:
        jax.config.update(setting, False)
    assert not folder.exists()


def test_after_another_version_of_a_library_the_program_is_another(folder, monkeypatch):
    assert traces_of_a_new_call("double") == 1
    monkeypatch.setattr(program_keys, "_machine", lambda: "other")
    assert traces_of_a_new_call("double") == 1
    assert sorted(path.suffix for path in folder.iterdir())[-2:] == [".program"] * 2


def test_after_a_change_of_the_sources_one_trace_finds_the_program(folder, monkeypatch):
    assert traces_of_a_new_call("double") == 1
    other = functools.cache(lambda: "other")
    monkeypatch.setattr(program_keys, "sources", other)
    with mock.patch.object(kept_programs, "_serialized") as compiled_anew:
        assert traces_of_a_new_call("double") == 1
        assert traces_of_a_new_call("double") == 0
    compiled_anew.assert_not_called()


def test_a_changed_source_changes_their_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(program_keys, "PACKAGE", tmp_path)
    monkeypatch.setattr(program_keys, "_started", time.time() + 60)
    found = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("b.py", "2")):
        (tmp_path / name).write_text(text)
        found.add(program_keys.sources.__wrapped__())
    assert len(found - {None}) == 3


def test_nothing_is_kept_without_sources(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(program_keys, "PACKAGE", tmp_path / "archive.zip" / "mrm_jax")
    assert traces_of_a_new_call("double") == 1
    assert not folder.exists()


def test_nothing_is_kept_if_a_source_has_changed_since_the_start(folder, monkeypatch):
    monkeypatch.setattr(program_keys, "_started", 0.0)
    program_keys.sources.cache_clear()
    assert traces_of_a_new_call("double") == 1
    assert not folder.exists()


def test_an_older_source_that_is_put_in_place_after_the_start_is_noticed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(program_keys, "PACKAGE", tmp_path)
    (tmp_path / "a.py").write_text("1")
    os.utime(tmp_path / "a.py", (0, 0))  # as rsync and tar do
    monkeypatch.setattr(program_keys, "_started", time.time())
    assert program_keys.sources.__wrapped__() is None
    monkeypatch.setattr(program_keys, "_started", time.time() + 60)
    assert program_keys.sources.__wrapped__() is not None


def test_a_source_that_changes_during_the_compilation_is_noticed(folder, monkeypatch):
    found = iter(["old", "new"])
    monkeypatch.setattr(program_keys, "sources", functools.cache(lambda: next(found)))
    assert traces_of_a_new_call("double") == 1
    assert [path.suffix for path in folder.iterdir()] == [".program"]


@dataclasses.dataclass(frozen=True)
class OwnNetwork:
    """Stands for a network of the user's own."""

    width: int = 4


@pytest.mark.parametrize("identity", [OwnNetwork(), ("train", OwnNetwork()), [print]])
def test_programs_of_unknown_code_are_not_kept(folder, identity):
    assert traces_of_a_new_call(identity) == 1
    assert traces_of_a_new_call(identity) == 1
    assert not folder.exists()


def test_a_damaged_program_is_replaced(folder):
    traces_of_a_new_call("double")
    (path,) = folder.glob("*.program")
    path.write_bytes(path.read_bytes()[:100])
    assert traces_of_a_new_call("double") == 1
    assert traces_of_a_new_call("double") == 0


@pytest.mark.parametrize("content", [b"", bytes(72), b"\xff" * 72, b"../other"])
def test_a_damaged_key_is_replaced(folder, content):
    traces_of_a_new_call("double")
    for path in folder.glob("*.key"):
        path.write_bytes(content)
    assert traces_of_a_new_call("double") == 1
    assert traces_of_a_new_call("double") == 0


def test_an_unwritable_folder_does_no_harm(folder):
    folder.write_text("a file")
    assert traces_of_a_new_call("double") == 1


def test_programs_in_a_read_only_folder_are_loaded(folder, monkeypatch):
    assert traces_of_a_new_call("double") == 1

    def refuse(*_args, **_options):
        """Does what a read-only file system does."""
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("utime", "replace", "mkdir"):
        monkeypatch.setattr(os, name, refuse)
    assert traces_of_a_new_call("double") == 0


def test_a_file_that_another_process_removes_meanwhile_does_no_harm(folder):
    folder.mkdir()
    for suffix in (".key", ".program"):
        (folder / f"removed{suffix}").symlink_to(folder / "missing")
    assert traces_of_a_new_call("double") == 1
    assert traces_of_a_new_call("double") == 0


def test_the_least_recently_used_programs_are_removed(folder, monkeypatch):
    traces_of_a_new_call("double")
    (program,) = folder.glob("*.program")
    limit = int(2.5 * program.stat().st_size)
    monkeypatch.setitem(kept_files.MAX_BYTES, ".program", limit)
    program.unlink()
    values = {size: VALUES[:, :1].repeat(size, axis=1) for size in (1, 2, 3)}
    for age, size in ((30, 1), (20, 2)):
        traces_of_a_new_call("double", values[size])
        newest = max(folder.glob("*.program"), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (newest.stat().st_atime, newest.stat().st_mtime - age))
    assert traces_of_a_new_call("double", values[1]) == 0
    traces_of_a_new_call("double", values[3])
    assert len(list(folder.glob("*.program"))) == 2
    assert traces_of_a_new_call("double", values[1]) == 0
    assert traces_of_a_new_call("double", values[2]) == 1


@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_files_that_others_can_write_are_not_read(folder, mode):
    traces_of_a_new_call("double")
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.iterdir():
        path.chmod(mode)
    assert traces_of_a_new_call("double") == 1
    assert traces_of_a_new_call("double") == 0  # replaced


@pytest.mark.parametrize("place", ["gs://bucket/cache", ""])
def test_nothing_is_kept_at_a_url_or_without_a_cache(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", place)
    monkeypatch.setattr(kept_programs, "_folder", tmp_path)
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", place)
    try:
        compiler.set_up()
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    assert kept_programs._folder is None
    assert not list(tmp_path.iterdir())


def test_a_program_from_the_cache_of_jax_is_not_kept(folder):
    with kept_programs._cache_hits() as hits:
        jax.monitoring.record_event(kept_programs.CACHE_HIT)
        jax.monitoring.record_event("/jax/another/event")
    assert hits == [kept_programs.CACHE_HIT]
    source = inspect.getsource(jax._src.compiler)
    assert kept_programs.CACHE_HIT in source  # or its name has changed


def test_the_memory_of_an_argument_is_reused(folder):
    for _ in range(2):  # compiled, and loaded
        call = devices.map_and_keep(lambda x: x + 1, "add", donate_argnums=(0,))
        given = devices.replicate(VALUES)
        np.testing.assert_array_equal(call(given)[0], VALUES + 1)
        assert given.is_deleted()


def test_python_numbers_are_arguments_too(folder):
    for _ in range(2):
        call = kept_programs.KeptCall(jax.jit(lambda x, y: x * y), "scale")
        np.testing.assert_array_equal(call(VALUES, 2), 2 * VALUES)
        np.testing.assert_array_equal(call(VALUES, 2.5), 2.5 * VALUES)


def test_the_program_that_was_used_last_is_loaded_ahead(folder):
    for size in (1, 2):
        traces_of_a_new_call("double", VALUES[:, :size])
    call = devices.map_and_keep(lambda x: 2 * x, "double")
    call.load_ahead()
    with mock.patch.object(kept_programs, "_load") as loaded_anew:
        np.testing.assert_array_equal(call(VALUES), 2 * VALUES)
    loaded_anew.assert_not_called()
    assert traces_of_a_new_call("double", VALUES[:, :1]) == 0  # a wrong guess


def test_shapes_are_found_without_a_trace(folder):
    traces = []

    def double(x):
        """Notes that it is traced."""
        traces.append(x)
        return {"twice": 2 * x}

    for given in (VALUES, VALUES, VALUES[:1], VALUES.astype(np.int32)):
        call = kept_programs.KeptCall(jax.jit(double), "double")
        found = call.eval_shape(jax.ShapeDtypeStruct(given.shape, given.dtype))
        assert found["twice"].shape == given.shape
        assert found["twice"].dtype == given.dtype
    assert len(traces) == 3


def test_damaged_shapes_are_replaced(folder):
    for _ in range(2):
        call = kept_programs.KeptCall(jax.jit(lambda x: 2 * x), "double")
        assert call.eval_shape(VALUES).shape == VALUES.shape
        (path,) = folder.glob("*.shapes")
        path.write_bytes(b"damaged")


def test_calls_within_a_trace_are_traced(folder):
    call = kept_programs.KeptCall(jax.jit(lambda x: 2 * x), "double")
    found = jax.jit(lambda x: call(x) + 1)(jnp.asarray(VALUES))
    np.testing.assert_array_equal(found, 2 * VALUES + 1)


@pytest.mark.slow
def test_steps_of_a_loaded_program_equal_those_of_a_traced_one(tmp_path):
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)}

    def two_steps():
        """Returns what a new process prints."""
        command = [sys.executable, "-c", textwrap.dedent(TWO_STEPS)]
        return subprocess.check_output(
            command, env=environment, cwd=conftest.ROOT, text=True
        )

    traced, loaded = two_steps(), two_steps()
    assert traced.startswith("['step'] ")
    assert loaded == traced.replace("['step']", "[]")
