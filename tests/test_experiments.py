import importlib
import pkgutil

import pytest

import experiments
from experiments import base
from mrm_jax import types
from mrm_jax.models import mrm_net

NAMES = sorted(m.name for m in pkgutil.iter_modules(experiments.__path__))


def flat(config):
    return {
        f"{group}.{name}" if group else name: value
        for group, values in [("", config), *config.items()]
        if hasattr(values, "items")
        for name, value in values.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_is_named_as_its_file(name):
    config = importlib.import_module(f"experiments.{name}").get_config()
    assert config.name == name


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_only_sets_what_the_base_has(name):
    config = importlib.import_module(f"experiments.{name}").get_config()
    assert flat(config).keys() == flat(base.get_config()).keys()


@pytest.mark.parametrize("name", NAMES)
def test_network_and_recipe_accept_an_experiment(name):
    config = importlib.import_module(f"experiments.{name}").get_config()
    mrm_net.MRMNet(num_labels=9, **config.model)
    types.HParams(**config.hparams)


def test_the_base_is_the_recipe_of_the_reference():
    config = base.get_config()
    assert types.HParams(**config.hparams) == types.HParams()
    assert (config.batch_size, config.num_epochs) == (96, 40)
    reference = mrm_net.MRMNet(num_labels=9)
    assert mrm_net.MRMNet(num_labels=9, **config.model) == reference


def test_there_is_one_experiment_for_each_label_set():
    label_sets = {"all", "diagnostic", "subdiagnostic", "superdiagnostic"}
    label_sets |= {"form", "rhythm"}
    found = {
        importlib.import_module(f"experiments.{name}").get_config().data.label_set
        for name in NAMES
        if name.startswith("ptbxl_")
    }
    assert found == label_sets
