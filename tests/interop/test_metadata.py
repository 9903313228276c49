import dataclasses
import json
import math

import pytest

from mrm_jax.data import shards
from mrm_jax.interop import metadata
from mrm_jax.metrics import thresholds
from mrm_jax.models.mrm_net import network
from mrm_jax.training import metadata as metadata_lib
from tests.helpers import small_runs

pytestmark = pytest.mark.slow


def test_metadata_has_everything_needed_to_use_the_scores(run, shards_dir):
    said = metadata.describe(run)
    label_set = shards.load(shards_dir).label_set("waves")
    assert said["labels"] == list(small_runs.LABELS)
    assert said["descriptions"] == ["slow wave", "fast wave", "loud wave"]
    assert said["leads"][:4] == ["I", "II", "III", "AVR"]
    assert (said["unit"], said["sampling_rate"], said["num_samples"]) == ("mV", 100, 40)
    assert said["mean_mv"] == pytest.approx(label_set.mean_uv / 1000)
    assert said["std_mv"] == pytest.approx(label_set.std_uv / 1000)
    assert said["resolution_mv"] == 0.001
    assert said["run"]["data_set"] == "waves"
    assert (said["run"]["epoch"], said["run"]["seed"]) == (3, 1)
    assert said["run"]["command"] == "python -m mrm_jax.train"
    assert said["exported_by"] == metadata_lib.versions()
    assert "not a medical device" in said["intended_use"]
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_thresholds_are_named_by_label(run):
    chosen = thresholds.Thresholds(0.4, (0.1, 0.2, math.nan), temperature=1.5)
    said = metadata.describe(dataclasses.replace(run, thresholds={"mean": chosen}))
    assert said["thresholds"] == {
        "mean": {
            "overall": 0.4,
            "by_label": {"slow": 0.1, "fast": 0.2, "loud": None},
            "temperature": 1.5,
            "source": thresholds.OF_LABELS,
        }
    }


def test_the_arguments_rebuild_the_network(run):
    made = network.MRMNet(**metadata.describe(run)["model"])
    assert made == run.model  # options that only training has are at their defaults
