import dataclasses
import functools
import json

import jax
import numpy as np
import pytest

from mrm_jax.data import shards
from mrm_jax.runtime import devices as devices_lib
from mrm_jax.training import epoch, input_pipeline, train_state
from mrm_jax.training.hparams import HParams
from tests.helpers import float64, small_runs, small_states

pytestmark = pytest.mark.slow

MODEL = small_states.MODEL.clone(axis_name=devices_lib.AXIS)
# 32 records in batches of 7: two and four devices get padding in every step, and the
# last batch, of 4 records, leaves some devices without any.
BATCH_SIZE, NUM_STEPS = 7, 5
ACCELERATORS = ("cuda", "tpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    return shards.load(small_runs.write_shards(folder))


@pytest.fixture(scope="module", autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


def loader(data):
    split = data.split("waves", "train")
    return float64.SplitLoader(data, split, data.label_set("waves"))


def first_state():
    return float64.widen(jax.device_get(small_states.create()))


def shuffled_batches():
    return input_pipeline.shuffled_batches(32, BATCH_SIZE, seed=0, epoch=1)


@dataclasses.dataclass
class Run:
    """An epoch of five steps with dropout."""

    losses: list[dict[str, float]]  # of each step
    compilations: list[int]  # during each call
    state: train_state.TrainState  # after the last step, on the host


@pytest.fixture(scope="module")
def runs(data):
    """Trains on so many of the four devices, once for each number."""
    return functools.cache(functools.partial(run, data))


def run(data, devices):
    events = []

    def listen(event, duration, **_):
        events.append(event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices_lib, "device_count", lambda: devices)
        epoch.mapped.cache_clear()  # so that its compilations are counted
        call = epoch.mapped(MODEL)
        state = devices_lib.replicate(first_state())
        hparams = devices_lib.replicate(HParams())
        result = Run([], [], state)
        jax.monitoring.register_event_duration_secs_listener(listen)
        for records, rows in loader(data).calls(shuffled_batches()):
            events.clear()
            state, terms = call(state, records, rows, hparams)
            result.compilations.append(sum("backend_compile" in e for e in events))
            host_terms = devices_lib.unreplicate(terms)
            result.losses.append({k: float(v[0]) for k, v in host_terms.items()})
        jax.monitoring.unregister_event_duration_listener(listen)
        result.state = devices_lib.unreplicate(state)
    return result


@pytest.mark.parametrize("devices", [2, 4])
def test_several_devices_equal_one_device(runs, devices):
    several, single = runs(devices), runs(1)
    assert len(single.losses) == NUM_STEPS
    for found, expected in zip(several.losses, single.losses, strict=True):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(
                found[name], value, rtol=1e-9, equal_nan=False, err_msg=name
            )


@pytest.fixture
def trained(runs):
    """An epoch on four devices."""
    return runs(4)


def test_steps_are_compiled_once(trained):
    assert trained.compilations == [1, 0, 0, 0, 0]


def test_training_stays_finite_and_updates_every_parameter(trained):
    assert trained.state.step == NUM_STEPS
    before = first_state().params
    pairs = jax.tree.map(lambda *both: both, before, trained.state.params)
    leaves = jax.tree_util.tree_leaves_with_path(
        pairs, is_leaf=lambda node: isinstance(node, tuple)
    )
    for path, (old, new) in leaves:
        assert np.isfinite(new).all(), jax.tree_util.keystr(path)
        assert np.any(old != new), jax.tree_util.keystr(path)


def train_epoch(data, hparams, totals=None):
    def track(items, total):
        if totals is not None:
            totals.append(total)
        return items

    return epoch.train_epoch(
        epoch.mapped(MODEL),
        devices_lib.replicate(first_state()),
        loader(data),
        epoch.Epoch(shuffled_batches()),
        devices_lib.replicate(hparams),
        track,
    )


def test_means_of_an_epoch_are_over_its_records(data, trained):
    totals = []
    state, means = train_epoch(data, HParams(), totals)
    assert totals == [NUM_STEPS]
    assert devices_lib.unreplicate(state.step) == NUM_STEPS
    assert means.pop("records_per_second") > 0
    for name, value in means.items():
        values = [losses[name] for losses in trained.losses]
        by_hand = (7 * sum(values[:4]) + 4 * values[4]) / 32
        np.testing.assert_allclose(value, by_hand, rtol=1e-6)
    expected = {"loss", "bce_high", "bce_low", "feature_kl", "logit_kl", "grad_norm"}
    assert set(means) == expected


def test_a_resumed_epoch_has_the_means_of_an_uninterrupted_one():
    rows = np.array([[0, 1], [2, 3], [4, -1]])
    losses = np.array([0.1, 0.2, 0.4], np.float32)
    whole, begun = epoch.Epoch(rows), epoch.Epoch(rows)
    whole.add({"loss": losses})
    begun.add({"loss": losses[:1]})
    resumed = epoch.Epoch(rows, begun.steps_done, json.loads(json.dumps(begun.sums)))
    resumed.add({"loss": losses[1:]})
    assert resumed.means() == whole.means()
    assert whole.means()["loss"] == pytest.approx((0.1 * 2 + 0.2 * 2 + 0.4) / 5)
    assert whole.steps_done == 3


def test_a_non_finite_loss_stops_the_epoch(data):
    with pytest.raises(FloatingPointError, match="step 1: .*bce_high nan.*loss nan"):
        train_epoch(data, HParams(learning_rate=float("nan")))


def abstract_arguments():
    """Returns the shapes of one device's arguments, for three steps of two records."""
    shape = jax.ShapeDtypeStruct
    scalar = shape((), np.float32)
    records = input_pipeline.Records(
        *(shape((32, 40 * 12), np.int16), shape((32, 3), np.uint8)),
        *(scalar, scalar),
        num_leads=12,
    )
    hparams = jax.tree.map(lambda _: scalar, HParams())
    state = train_state.shapes(MODEL)
    return state, records, shape((3, 2), np.int32), hparams


@pytest.fixture
def rolled(monkeypatch):
    """Float32 loops as accelerators get them; the backend here is the CPU."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with jax.enable_x64(False):
        yield


def test_steps_lower_for_accelerators(rolled):
    call = functools.partial(epoch.train_steps, model=small_states.MODEL)
    exported = jax.export.export(jax.jit(call), platforms=ACCELERATORS)(
        *abstract_arguments()
    )
    assert exported.platforms == ACCELERATORS
    assert exported.mlir_module().count("stablehlo.while") == 1


def test_mapped_steps_lower_for_accelerators(rolled):
    epoch.mapped.cache_clear()  # traced before, with its loop written out
    call = epoch.mapped(MODEL)
    arguments = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((4, *x.shape), x.dtype), abstract_arguments()
    )
    exported = jax.export.export(
        jax.jit(lambda *given: call(*given)), platforms=ACCELERATORS
    )(*arguments)
    assert exported.platforms == ACCELERATORS
    assert exported.nr_devices == 4
    module = exported.mlir_module()
    assert module.count("stablehlo.while") == 1
    assert "stablehlo.all_reduce" in module
