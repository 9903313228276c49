import importlib
import pkgutil

import pytest

import experiments
import experiments.sweeps
from experiments import base
from mrm_jax.models.mrm_net import network as mrm_net
from mrm_jax.sweeps import search_space
from mrm_jax.training import config as config_lib
from mrm_jax.training import run_spec
from mrm_jax.training.hparams import HParams
from tests import conftest

MODULES = list(pkgutil.iter_modules(experiments.__path__))
NAMES = sorted(module.name for module in MODULES if not module.ispkg)
SWEEPS = sorted(m.name for m in pkgutil.iter_modules(experiments.sweeps.__path__))


def flat(config):
    return {
        f"{group}.{name}" if group else name: value
        for group, values in [("", config), *config.items()]
        if hasattr(values, "items")
        for name, value in values.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_is_named_like_its_file(name):
    config = importlib.import_module(f"experiments.{name}").get_config()
    assert config.name == name


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_only_sets_options_of_the_base(name):
    config = importlib.import_module(f"experiments.{name}").get_config()
    assert flat(config).keys() == flat(base.get_config()).keys()


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_is_a_valid_configuration(name):
    config = importlib.import_module(f"experiments.{name}").get_config()
    run_spec.network(config, num_labels=9, num_samples=1000)
    HParams(**config.hparams)


def test_the_base_is_the_reference_recipe():
    config = base.get_config()
    assert HParams(**config.hparams) == HParams()
    assert (config.batch_size, config.num_epochs) == (96, 40)
    reference = mrm_net.MRMNet(num_labels=9)
    found = run_spec.network(config, num_labels=9, num_samples=1000)
    assert found.clone(axis_name=None) == reference


def test_each_label_set_has_one_experiment():
    label_sets = {"all", "diagnostic", "subdiagnostic", "superdiagnostic"}
    label_sets |= {"form", "rhythm"}
    found = {
        importlib.import_module(f"experiments.{name}").get_config().data.label_set
        for name in NAMES
        if name.startswith("ptbxl_")
    }
    assert found == label_sets


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_varies_options_of_its_experiment(name):
    file = conftest.ROOT / "experiments" / "sweeps" / f"{name}.py"
    config = config_lib.load(str(file))
    space = search_space.load(str(file), config)
    assert flat(config).keys() == flat(base.get_config()).keys()
    for values in space.programs:
        applied = search_space.apply(config, values)
        assert run_spec.network(applied, num_labels=9, num_samples=1000)
    for distribution in space.traced.values():
        assert distribution.low < distribution.high
