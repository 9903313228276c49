import jax
import pytest

from mrm_jax.data import shards
from mrm_jax.runtime import devices
from mrm_jax.sweeps import population, vectorised
from mrm_jax.training import input_pipeline
from tests.helpers import small_runs, small_states

pytestmark = pytest.mark.slow

BATCH_SIZE = 7
PROGRAM = vectorised.Program(small_states.TINY, BATCH_SIZE)


@pytest.fixture(scope="module")
def loader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    data = shards.load(small_runs.write_shards(folder))
    split = data.split("waves", "train")
    return input_pipeline.SplitLoader(data, split, data.label_set("waves"))


def needs(loader, per_device, batching):
    program = vectorised.Program(small_states.TINY, BATCH_SIZE, batching)
    return population.call_bytes(program, loader, per_device)


def largest(loader, at_most):
    return population.largest(PROGRAM, loader, at_most)


def state_bytes():
    state = vectorised.empty(PROGRAM, 1)
    return sum(leaf.nbytes for leaf in jax.tree.leaves(state))


def test_vmapped_runs_need_states_and_activations_but_share_records(loader):
    one, two = (needs(loader, per_device, "vmap") for per_device in (1, 2))
    assert one > state_bytes()
    assert two - one > 2 * state_bytes()


def test_looped_runs_need_only_their_states(loader):
    one, four = (needs(loader, per_device, "loop") for per_device in (1, 4))
    assert four - one == 3 * state_bytes()


@pytest.fixture
def accelerator(monkeypatch):
    """Four devices with so many bytes free, on which a run needs 100, another 40.

    XLA's plans are another test's; these would take minutes to compile.
    """
    planned = []

    def call_bytes(program, loader, per_device):
        planned.append(per_device)
        # As XLA may do it: more than in proportion from the fourth on.
        return 60 + 40 * per_device + 30 * max(0, per_device - 3)

    def make(free):
        monkeypatch.setattr(devices, "free_bytes", lambda: free)
        return planned

    monkeypatch.setattr(devices, "supports_scan", lambda: True)
    monkeypatch.setattr(population, "call_bytes", call_bytes)
    return make


def test_the_largest_population_is_verified_by_compiling(loader, accelerator):
    planned = accelerator(240)  # in proportion four runs a device would fit
    assert largest(loader, at_most=100) == 12
    assert planned == [1, 2, 4, 3]


def test_no_more_slots_than_trials(loader, accelerator):
    accelerator(10_000)
    assert largest(loader, at_most=6) == 6


def test_a_run_that_does_not_fit_raises(loader, accelerator):
    accelerator(99)
    with pytest.raises(ValueError, match="Use a smaller batch_size"):
        largest(loader, at_most=6)


def test_on_the_cpu_more_slots_than_devices_gain_nothing(loader):
    assert largest(loader, at_most=100) == 4
    assert largest(loader, at_most=3) == 3
