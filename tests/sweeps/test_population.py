"""Tests that a run in a population equals the run alone, in every batching.

In float64: in float32 the order of sums differs between the programs, and Adam lets
that grow from step to step. MRM-Net is trained once; what remains is the same for every
network and uses one that compiles quickly.
"""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from mrm_jax.data import shards
from mrm_jax.metrics import classification
from mrm_jax.runtime import devices
from mrm_jax.sweeps import population, vectorised
from mrm_jax.training import epoch as epoch_lib
from mrm_jax.training import input_pipeline, scoring, train_state
from mrm_jax.training.hparams import HParams
from tests.helpers import float64, small_runs, small_states

pytestmark = pytest.mark.slow

EPOCHS, BATCH_SIZE = 2, 7  # as in training/test_epoch, for the same programs
ACCELERATORS = ("cuda", "tpu")
RTOL = 1e-9
# Stored programs may not ask for layouts, as those of a population on a GPU do.
NOT_KEPT = jax.export.DisabledSafetyCheck.custom_call("LayoutConstraint")
MODEL = small_states.TINY


@dataclasses.dataclass(frozen=True)
class Trial:
    """The parameters of one run."""

    seed: int
    hparams: HParams
    steps: int = 2  # of each epoch, the last with padding; more would take longer

    def rows(self, epoch):
        batches = input_pipeline.shuffled_batches(32, BATCH_SIZE, self.seed, epoch)
        return batches[-self.steps :]

    def state(self, model=MODEL):
        return float64.widen(jax.device_get(small_states.create(model, seed=self.seed)))


TRIALS = [
    Trial(seed, HParams(learning_rate=rate, dropout_rate=dropout))
    for seed, rate, dropout in [
        (1, 1e-3, 0.2),
        (2, 1e-3, 0.2),
        (1, 1e-4, 0.5),
        (3, 3e-3, 0.0),
        (4, 1e-3, 0.1),
        (5, 3e-4, 0.3),
    ]
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    return shards.load(small_runs.write_shards(folder))


def make_loaders(data):
    label_set = data.label_set("waves")
    return {
        name: float64.SplitLoader(data, data.split("waves", name), label_set)
        for name in ("train", "val")
    }


@pytest.fixture(scope="module", autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def loaders(data):
    return make_loaders(data)


def metrics_of(means, scores):
    """Returns every metric of an epoch, by name."""
    values = {f"train/{k}": v for k, v in means.items() if k != "records_per_second"}
    for head, found in scores.heads.items():
        for name, value in classification.evaluate(found, scores.labels).items():
            values[f"val/{name}_{head}"] = value
    return values


def alone(trial, data, model, augment=False):
    """Trains a trial's run alone on one device, as mrm_jax.train does."""
    mapped = model.clone(axis_name=devices.AXIS)
    history = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "device_count", lambda: 1)
        own = make_loaders(data)
        state = devices.replicate(trial.state(model))
        hparams = devices.replicate(trial.hparams)
        for epoch in range(1, EPOCHS + 1):
            state, means = epoch_lib.train_epoch(
                epoch_lib.mapped(mapped, augment),
                state,
                own["train"],
                epoch_lib.Epoch(trial.rows(epoch)),
                hparams,
                lambda calls, total: calls,
            )
            scores = scoring.predict(mapped, state, own["val"], BATCH_SIZE)
            history.append(metrics_of(means, scores))
        return history, devices.unreplicate(state)


@pytest.fixture(scope="module")
def runs_alone(data):
    return [alone(trial, data, MODEL) for trial in TRIALS]


def program(batching, model=MODEL, augment=False):
    return vectorised.Program(model, BATCH_SIZE, batching, augment)


def make_population(batching, model=MODEL, augment=False):
    result = population.Population(program(batching, model, augment), len(TRIALS))
    for slot, trial in enumerate(TRIALS):
        result.put(slot, trial.state(model), trial.hparams)
    return result


def one_epoch(runs, loaders, trials, epoch):
    rows = {slot: trial.rows(epoch) for slot, trial in trials.items()}
    means = runs.train(loaders["train"], rows)
    scores = runs.predict(loaders["val"], rows)
    return {slot: metrics_of(means[slot], scores[slot]) for slot in rows}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=RTOL, err_msg=name)


@pytest.mark.parametrize(
    ("batching", "model", "augment", "steps"),
    [
        ("vmap", small_states.MODEL, False, 1),  # mapped convolutions run slowly here
        ("vmap", MODEL, False, 2),
        ("vmap", MODEL, True, 2),
        ("loop", MODEL, False, 2),
    ],
    ids=["vmap-mrm_net", "vmap", "vmap-augmented", "loop"],
)
def test_a_run_in_a_population_equals_the_run_alone(
    batching, model, augment, steps, data, loaders
):
    trials = [dataclasses.replace(trial, steps=steps) for trial in TRIALS]
    runs_alone = [alone(trial, data, model, augment) for trial in trials]
    runs = make_population(batching, model, augment)
    assert runs.size == 8  # two on each of four devices
    for epoch in range(EPOCHS):
        found = one_epoch(runs, loaders, dict(enumerate(trials)), epoch + 1)
        for slot, (history, _) in enumerate(runs_alone):
            assert_same(found[slot], history[epoch])
    for slot, state in runs.states(range(len(TRIALS))).items():
        assert state.step == EPOCHS * steps
        assert np.array_equal(state.rng, runs_alone[slot][1].rng)


def test_a_whole_run_can_be_vmapped(data):
    """Mapped over trials, it makes the first step of a population."""
    label_set = data.label_set("waves")
    trials, rows = TRIALS[:2], np.stack([s.rows(1)[:1] for s in TRIALS[:2]])
    with jax.enable_x64(False):
        loader = input_pipeline.SplitLoader(
            data, data.split("waves", "train"), label_set
        )
        records = jax.tree.map(lambda x: x[0], loader.records(rows)[0])
        hparams = jax.tree.map(lambda *x: np.stack(x), *[s.hparams for s in trials])
        rngs = np.stack([jax.random.PRNGKey(s.seed) for s in trials])
        run = functools.partial(vectorised.run, model=MODEL)
        states, terms = jax.jit(jax.vmap(run, (0, 0, None, 0)))(
            hparams, rngs, records, rows
        )
        runs = population.Population(program("loop"), 2)
        for slot, trial in enumerate(trials):
            state = train_state.create(jax.random.PRNGKey(trial.seed), MODEL)
            runs.put(slot, state, trial.hparams)
        expected = runs.train(loader, dict(enumerate(rows)))
    for slot, means in expected.items():
        assert states.step[slot] == 1
        for name, value in means.items():
            np.testing.assert_allclose(terms[name][slot, 0], value, rtol=1e-4)


def test_reusing_a_slot_does_not_affect_the_others(loaders, runs_alone):
    runs = make_population("vmap")
    one_epoch(runs, loaders, dict(enumerate(TRIALS)), epoch=1)
    runs.put(1, TRIALS[0].state(), TRIALS[0].hparams)
    others = {slot: TRIALS[slot] for slot in (0, 2, 5)}
    rows = {slot: trial.rows(2) for slot, trial in others.items()}
    means = runs.train(loaders["train"], rows | {1: TRIALS[0].rows(1)})
    scores = runs.predict(loaders["val"], means)
    assert_same(metrics_of(means[1], scores[1]), runs_alone[0][0][0])
    for slot in others:
        assert_same(metrics_of(means[slot], scores[slot]), runs_alone[slot][0][1])


@pytest.mark.parametrize("batching", ["vmap", "loop"])
def test_a_diverging_run_does_not_affect_the_others(data, batching):
    with jax.enable_x64(False):
        loader = input_pipeline.SplitLoader(
            data, data.split("waves", "train"), data.label_set("waves")
        )
        wild = HParams(learning_rate=1e30)
        found = []
        for first in (TRIALS[0].hparams, wild):
            runs = population.Population(program(batching), 8)
            for slot, hparams in ((0, first), (4, TRIALS[1].hparams)):
                runs.put(slot, small_states.create(MODEL), hparams)
            rows = {slot: TRIALS[0].rows(1) for slot in (0, 4)}
            found.append(runs.train(loader, rows))
            found.append(runs.train(loader, {4: TRIALS[0].rows(2)}))
        calm, calm_after, beside, beside_after = found
        assert not np.isfinite(list(beside[0].values())).all()
        assert beside[4] == calm[4]  # on the same device as 0
        assert beside_after == calm_after


def abstract_call():
    """The shapes of one device's arguments, for three steps of two records."""
    shape = jax.ShapeDtypeStruct
    scalar = shape((), np.float32)
    records = input_pipeline.Records(
        *(shape((32, 40 * 12), np.int16), shape((32, 3), np.uint8)),
        *(scalar, scalar),
        num_leads=12,
    )
    both = jax.eval_shape(lambda: vectorised.empty(program("vmap"), 2))
    return both, records, shape((2, 3, 2), np.int32)


@pytest.mark.parametrize(("batching", "loops"), [("vmap", 1), ("map", 2), ("loop", 1)])
def test_batchings_lower_for_accelerators_without_communication(
    monkeypatch, batching, loops
):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    vectorised.train_mapped.cache_clear()  # traced before, with its loop written out
    with jax.enable_x64(False):
        arguments = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((4, *x.shape), x.dtype), abstract_call()
        )
        call = vectorised.train_mapped(program(batching).resolved())
        exported = jax.export.export(
            jax.jit(lambda *given: call(*given)),
            platforms=ACCELERATORS,
            disabled_checks=[NOT_KEPT],
        )(*arguments)
    vectorised.train_mapped.cache_clear()
    module = exported.mlir_module()
    assert exported.nr_devices == 4
    assert module.count("stablehlo.while") == loops
    assert "all_reduce" not in module and "collective" not in module


def test_new_hyperparameters_and_runs_compile_nothing(loaders):
    runs = make_population("loop")
    one_epoch(runs, loaders, dict(enumerate(TRIALS)), epoch=1)
    events = []

    def listen(event, duration, **_):
        events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    runs.put(3, TRIALS[4].state(), TRIALS[4].hparams)
    one_epoch(runs, loaders, {3: TRIALS[4], 7: TRIALS[0]}, epoch=1)
    jax.monitoring.unregister_event_duration_listener(listen)
    assert not [event for event in events if "backend_compile" in event]


@pytest.mark.parametrize(
    ("size", "batching", "message"),
    [
        (0, None, "1 slot or more, got 0"),
        (2, "scan", r"expected one of \('vmap', 'map', 'loop'\), got 'scan'"),
        (2, "map", "60 times slower on the CPU. Use 'loop'"),
    ],
)
def test_invalid_arguments_raise(size, batching, message):
    with pytest.raises(ValueError, match=message):
        population.Population(program(batching), size)


def test_a_slot_that_does_not_exist_raises():
    runs = population.Population(program(None), 1)
    with pytest.raises(ValueError, match="from 0 to 3, got 4"):
        runs.put(4, TRIALS[0].state(), TRIALS[0].hparams)


def test_the_earlier_name_of_a_batching_is_accepted():
    assert vectorised.resolve_batching("unrolled") == "loop"
