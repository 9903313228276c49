"""Tests that values without an effect on the network are refused."""

import pytest

from experiments import base
from mrm_jax import train
from mrm_jax.training import config as config_lib
from mrm_jax.training import unused
from tests.helpers import own_network

OWN = f"{own_network.__file__}:OwnNetwork"


def reasons(name):
    config = base.get_config()
    config.model.name = name
    return unused.reasons(config.to_dict())


def test_mrm_net_reads_every_value():
    assert reasons("mrm_net") == {}


@pytest.mark.parametrize("name", ["resnet1d_wang", "xresnet1d101", "inception1d", "s4"])
def test_a_baseline_reads_no_option_of_mrm_net_and_no_mutual_loss(name):
    found = reasons(name)
    of_model = set(base.get_config().model) - {"name", "options", "compute_dtype"}
    assert {n for n in found if n.startswith("model.")} == {
        f"model.{option}" for option in of_model
    }
    assert {"hparams.temperature", "hparams.high_weight"} <= found.keys()
    assert "hparams.learning_rate" not in found


def test_a_network_without_a_precision_does_not_read_one():
    assert "model.compute_dtype" in reasons(OWN)


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("--config.model.width=8", "it is an option of mrm_net"),
        ("--config.model.exchange", "it is an option of mrm_net"),
        ("--config.hparams.logit_weight=0", "a loss of two branches, and this network"),
    ],
)
def test_a_flag_without_effect_is_refused(capsys, flag, reason):
    assert train.main(["--config=resnet1d_wang", flag]) == 2
    error = capsys.readouterr().err
    name = flag.partition("=")[0]
    assert f"error: {name} has no effect with the network resnet1d_wang" in error
    assert reason in error
    with pytest.raises(ValueError, match=f"{name} has no effect"):
        config_lib.load("resnet1d_wang", [flag])


def test_an_experiment_may_set_what_its_network_does_not_read():
    config, _ = train.parse(["--config=demo", "--config.model.name=s4"])
    assert (config.model.name, config.model.width) == ("s4", 8)
