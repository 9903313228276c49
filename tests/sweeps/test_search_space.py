import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from experiments import base
from mrm_jax.data import shards
from mrm_jax.sweeps import search_space
from tests.helpers import small_runs

RATE = FloatDistribution(1e-4, 1e-2, log=True)


def check(**distributions):
    named = {name.replace("__", "."): d for name, d in distributions.items()}
    return search_space.check(named, base.get_config())


def test_only_hparams_and_seed_are_traced():
    space = check(
        seed=IntDistribution(1, 5),
        model__width=IntDistribution(8, 16, step=8),
        hparams__learning_rate=RATE,
        batch_size=CategoricalDistribution([32, 64, 96]),
    )
    assert list(space.traced) == ["hparams.learning_rate", "seed"]
    assert len(space.programs) == 6
    assert {"batch_size": 64, "model.width": 8} in space.programs


def test_program_numbers_do_not_depend_on_the_order_of_names():
    width, size = CategoricalDistribution([8, 16]), CategoricalDistribution([32, 64])
    one = check(model__width=width, batch_size=size)
    assert one.programs == check(batch_size=size, model__width=width).programs


def test_without_program_values_there_is_one_program():
    assert check(hparams__learning_rate=RATE).programs == ({},)


@pytest.mark.parametrize(
    ("distributions", "message"),
    [
        ({}, "space is empty"),
        ({"hparams.rate": RATE}, r"no value .*hparams\.rate(?s:.*)learning_rate=0.001"),
        ({"hparams": RATE}, "no value --config.hparams. Its values are"),
        ({"data.label_set": CategoricalDistribution(["all", "form"])}, "same records"),
        ({"num_epochs": IntDistribution(1, 9)}, "same number of epochs"),
        ({"name": CategoricalDistribution(["a"])}, "only names the folder"),
        ({"selection_head": CategoricalDistribution(["high"])}, "compared by"),
        ({"seed": FloatDistribution(1, 2)}, "expected values of int, got float"),
        ({"model.exchange": CategoricalDistribution([True, 1])}, "got bool or int"),
        ({"model.width": CategoricalDistribution([8, None])}, "got NoneType or int"),
        ({"hparams.dropout_rate": CategoricalDistribution(["0.1"])}, "float or int"),
        ({"model.mutual_stages": CategoricalDistribution([1])}, "one,other"),
        ({"batch_size": IntDistribution(1, 33)}, "batch_size make 33 programs"),
    ],
)
def test_an_invalid_space_raises(distributions, message):
    with pytest.raises(ValueError, match=message):
        search_space.check(distributions, base.get_config())


def test_values_are_applied_to_a_locked_copy():
    config = base.get_config()
    values = {
        "hparams.temperature": 2,
        "seed": 7,
        "model.mutual_stages": "attention, extractor",
        "model.exchange": True,
    }
    changed = search_space.apply(config, values)
    assert changed.hparams.temperature == 2.0
    assert isinstance(changed.hparams.temperature, float)
    assert changed.model.mutual_stages == ("attention", "extractor")
    assert changed.seed == 7 and changed.model.exchange
    assert changed.is_locked and changed.model.is_locked
    assert config.to_dict() == base.get_config().to_dict()


def test_no_stages_are_written_as_an_empty_text():
    stages = search_space.apply(base.get_config(), {"model.mutual_stages": ""})
    assert stages.model.mutual_stages == ()


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (CategoricalDistribution(["a", None]), ["a", None]),
        (IntDistribution(2, 8, step=3), [2, 5, 8]),
        (FloatDistribution(0, 0.5, step=0.25), [0, 0.25, 0.5]),
        (FloatDistribution(0.1, 0.3, step=0.1), [0.1, 0.2, 0.3]),
        (FloatDistribution(3, 3), [3]),
        (FloatDistribution(0, 1), None),
    ],
)
def test_choices_of_a_distribution(distribution, expected):
    found = search_space.choices(distribution)
    assert found is None if expected is None else list(found) == expected


def test_an_experiment_file_without_a_space_raises():
    with pytest.raises(ValueError, match=r"base.py has no get_space"):
        search_space.load("experiments/base.py", base.get_config())


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("{'seed': IntDistribution(1, 2)}", "line 3: NameError: name 'IntDistrib"),
        ("{'seed': FloatDistribution(2, lo=1)}", "line 3: TypeError: .*'lo'"),
        ("{'seed': FloatDistribution(2, 1)}", "line 3: ValueError: .*low <= high"),
        ("{'seed': [1, 2]}", "a dictionary of Optuna's .*'seed' is \\[1, 2\\]"),
        ("{1: FloatDistribution(1, 2)}", "1 is FloatDistribution"),
        ("['seed']", "it returned list"),
        ("None", "it returned NoneType"),
    ],
)
def test_a_space_that_fails_is_named_with_its_file(tmp_path, returned, message):
    file = tmp_path / "sweep.py"
    file.write_text(
        "from optuna.distributions import FloatDistribution\n"
        f"def get_space():\n    return {returned}\n"
    )
    with pytest.raises(ValueError, match=f"sweep.py(: |, ).*{message}"):
        search_space.load(str(file), base.get_config())


def test_a_file_may_have_an_argument(tmp_path):
    file = tmp_path / "sweep.py"
    file.write_text(
        "from optuna.distributions import FloatDistribution\n"
        "def get_space():\n"
        "    return {'hparams.dropout_rate': FloatDistribution(0, 0.5)}\n"
    )
    space = search_space.load(f"{file}:s4", base.get_config())
    assert list(space.distributions) == ["hparams.dropout_rate"]


def test_the_space_of_a_file_is_checked(tmp_path):
    file = tmp_path / "sweep.py"
    file.write_text(
        "from optuna.distributions import FloatDistribution\n"
        "def get_space():\n"
        "    return {'hparams.dropout_rate': FloatDistribution(0, 0.5)}\n"
    )
    space = search_space.load(str(file), base.get_config())
    assert list(space.distributions) == ["hparams.dropout_rate"]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    return small_runs.config(small_runs.write_shards(folder))


def check_schedule(config, warmup, initial):
    names = ("hparams.warmup_fraction", "hparams.initial_rate")
    pairs = zip(names, (warmup, initial), strict=True)
    space = search_space.check({n: d for n, d in pairs if d is not None}, config)
    search_space.check_trainable(config, space, shards.load(config.data.shards))


@pytest.mark.parametrize(
    ("warmup", "initial"),
    [
        (CategoricalDistribution([0.1, 0.3]), CategoricalDistribution([0.0, 0.04])),
        (FloatDistribution(0, 0.3), FloatDistribution(0, 0.1)),  # never just 0
        (FloatDistribution(0, 0.3), None),
    ],
)
def test_a_warmup_may_vary_with_its_first_rate(config, warmup, initial):
    check_schedule(config, warmup, initial)


@pytest.mark.parametrize(
    ("warmup", "initial"),
    [
        (CategoricalDistribution([0.0, 0.3]), FloatDistribution(0.01, 0.1)),
        (FloatDistribution(0, 0.3, step=0.1), CategoricalDistribution([0.0, 0.04])),
        (None, FloatDistribution(0, 0.1)),
    ],
)
def test_a_first_rate_needs_a_warmup_in_every_trial(config, warmup, initial):
    with pytest.raises(ValueError, match=r"The space contains .*hparams.initial_rate"):
        check_schedule(config, warmup, initial)
