"""Programs are loaded instead of traced, and only if nothing has changed."""

import dataclasses
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models.mrm_net import network
from mrm_jax.runtime import devices, kept_programs
from mrm_jax.training.inherited import Inherited

VALUES = np.arange(8, dtype=np.float32).reshape(4, 2)
TWO_STEPS = """
import jax, numpy as np
from mrm_jax.models.mrm_net import network
from mrm_jax.runtime import devices
from mrm_jax.training import epoch, input_pipeline, scoring, steps, train_state
from mrm_jax.training.hparams import HParams

devices.use_compilation_cache()
traces = []
step = steps.packed_step
steps.packed_step = lambda *a, **k: traces.append("step") or step(*a, **k)
model = network.MRMNet(3, 40, width=4, axis_name=devices.AXIS)
state = devices.replicate(train_state.create(jax.random.PRNGKey(0), model))
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
    monkeypatch.setattr(kept_programs, "_can_be_kept", lambda: True)
    monkeypatch.setattr(kept_programs, "_folder", tmp_path / "programs")
    return tmp_path / "programs"


def traces_of_a_new_call(identity, values=VALUES):
    """Returns how often a new call was traced, whose result is checked."""
    traces = []

    def double(x):
        """Notes that it is traced."""
        traces.append(x)
        return 2 * x

    call = devices.map_devices(double, identity=identity)
    for _ in range(2):
        np.testing.assert_array_equal(call(values), 2 * values)
    return len(traces)


def test_a_known_program_is_not_traced(folder):
    assert traces_of_a_new_call("double") == 1
    assert len(list(folder.iterdir())) == 1
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


@pytest.mark.parametrize("what", ["_sources", "_machine"])
def test_other_sources_or_another_machine_are_another_program(
    folder, monkeypatch, what
):
    assert traces_of_a_new_call("double") == 1
    monkeypatch.setattr(kept_programs, what, lambda: "other")
    assert traces_of_a_new_call("double") == 1


def test_a_changed_source_changes_their_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_programs, "PACKAGE", tmp_path)
    found = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("b.py", "2")):
        (tmp_path / name).write_text(text)
        found.add(kept_programs._sources.__wrapped__())
    assert len(found) == 3


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
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert traces_of_a_new_call("double") == 1
    assert traces_of_a_new_call("double") == 0


def test_an_unwritable_folder_does_no_harm(folder):
    folder.write_text("a file")
    assert traces_of_a_new_call("double") == 1


def test_the_least_recently_used_programs_are_removed(folder, monkeypatch):
    monkeypatch.setattr(kept_programs, "MAX_PROGRAMS", 2)
    for age, name in ((30, "first"), (20, "second")):
        traces_of_a_new_call(name)
        newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (newest.stat().st_atime, newest.stat().st_mtime - age))
    assert traces_of_a_new_call("first") == 0
    traces_of_a_new_call("third")
    assert len(list(folder.iterdir())) == 2
    assert traces_of_a_new_call("first") == 0
    assert traces_of_a_new_call("second") == 1


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
        return subprocess.check_output(command, env=environment, text=True)

    first, second, third = (two_steps() for _ in range(3))
    assert first.startswith("['step'] ")
    assert second == third == first.replace("['step']", "[]")
