import ml_collections
import pytest

from mrm_jax import train
from mrm_jax.experiments import base
from mrm_jax.training import config as config_lib
from mrm_jax.training import config_defaults, metadata

# A file as it was written for 0.1.0, without any base.
FILE = """from ml_collections import ConfigDict

def get_config():
    config = ConfigDict()
    config.name, config.seed, config.selection_head = "own", 1, "mean"
    config.batch_size, config.num_epochs = 96, 40
    config.data = ConfigDict({"shards": "shards/own", "label_set": "all"})
    config.data.resident_gib = 1.0
    config.hparams = ConfigDict({HPARAMS})
    config.model = ConfigDict({MODEL})
    return config
"""
LATER = metadata.LATER | {"config.model.compute_dtype": "", "config.model.options": {}}


def without_later(config):
    """Returns a configuration without the values added after 0.1.0."""
    found = config.to_dict()
    for place in LATER:
        _, *groups, last = place.split(".")
        node = found
        for group in groups:
            node = node[group]
        del node[last]
    del found["data"]["folds"], found["init"]
    return ml_collections.ConfigDict(found)


@pytest.fixture
def file(tmp_path):
    old = without_later(base.get_config())
    text = FILE.replace("HPARAMS", str(old.hparams.to_dict())[1:-1])
    path = tmp_path / "own.py"
    path.write_text(text.replace("MODEL", str(old.model.to_dict())[1:-1]))
    return str(path)


def test_the_defaults_are_those_of_the_base():
    filled = config_defaults.fill(without_later(base.get_config()))
    assert filled.to_dict() == base.get_config().to_dict()


def test_a_file_without_later_values_has_their_defaults(file):
    config = config_lib.load(file)
    assert config.is_locked and config.num_epochs == 40
    assert (config.init.run, config.average_weights) == (None, False)
    found, _ = train.parse([f"--config={file}"])
    assert found.to_dict() == config.to_dict()


def test_flags_change_values_that_the_file_lacks(file):
    flags = [
        "--config.average_weights=True",
        "--config.data.folds.val=(8,)",
        "--config.data.leads=('I','II')",
        "--config.init.run=first",
        "--config.init.freeze=('stem',)",
        "--config.model.compute_dtype=bfloat16",
    ]
    config = config_lib.load(file, flags)
    assert config.average_weights and config.model.compute_dtype == "bfloat16"
    assert (config.data.folds.val, config.data.leads) == ((8,), ("I", "II"))
    assert (config.init.run, config.init.freeze) == ("first", ("stem",))
    short = ["--init_from=first", "--freeze=stem", *flags[:3], flags[5]]
    assert train.parse(["--config", file, *short])[0].to_dict() == config.to_dict()


def test_a_group_of_another_kind_is_named(file, tmp_path):
    path = tmp_path / "other.py"
    with open(file) as source:
        path.write_text(source.read().replace("return", "config.init = 3; return"))
    with pytest.raises(ValueError, match=r"other\.py: init: expected `?object"):
        config_lib.load(str(path))
