"""Tests of the training comparison: small runs of both sides, and its arithmetic."""

import json
import sys

import jax
import matplotlib.image
import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="the comparison needs torch: make parity", exc_type=ImportError
)

from benchmarks import parity_report, parity_runs, parity_training  # noqa: E402
from mrm_jax.metrics.scores import SplitScores  # noqa: E402
from mrm_jax.training import config as config_lib  # noqa: E402
from mrm_jax.training import input_pipeline  # noqa: E402
from tests import conftest  # noqa: E402
from tests.helpers import small_runs  # noqa: E402

pytestmark = pytest.mark.torch

SMALL = (
    "--config=experiments/base.py",
    "--config.data.label_set=waves",
    "--config.batch_size=12",
    "--config.num_epochs=2",
    "--config.model.width=4",
)


@pytest.fixture(scope="module", autouse=True)
def command_environment():
    """Runs in the project, with JAX's cache of the other tests and one thread.

    Beside four devices on few cores, PyTorch's threads would wait for each other.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(conftest.ROOT)
        patch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.jax_compilation_cache_dir)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Returns the flags of a run that takes seconds."""
    folder = small_runs.write_shards(tmp_path_factory.mktemp("data") / "shards")
    return [*SMALL, f"--config.data.shards={folder}"]


def run(flags, out):
    assert parity_training.main([*flags, f"--out={out}"]) == 0
    assert sorted(path.name for path in out.parent.iterdir()) == [
        f"{out.name}.json",
        f"{out.name}.png",
    ]
    pixels = matplotlib.image.imread(out.with_name(f"{out.name}.png"))[..., :3]
    assert pixels.shape[1] > 1000 and pixels.std() > 0.05  # not an empty canvas
    return json.loads(out.with_name(f"{out.name}.json").read_text())


@pytest.fixture(scope="module")
def same_weights(flags, tmp_path_factory):
    return run(flags, tmp_path_factory.mktemp("same") / "run.1")


def test_same_start_gives_the_same_loss(same_weights):
    curves = same_weights["curves"]
    ours, pytorch = curves["mrm_jax"]["loss"], curves["pytorch"]["loss"]
    assert len(ours) == len(pytorch) == 2
    np.testing.assert_allclose(ours[0], pytorch[0], rtol=1e-4)
    # The model learns, so the next epoch's loss differs.
    assert ours[1] < 0.98 * ours[0]


def test_differences_match_the_curves(same_weights):
    curves = same_weights["curves"]
    for name in ("mrm_jax", "pytorch_moved"):
        found = same_weights["absolute_difference"][name]
        for epoch in (0, 1):
            ours, theirs = (curves[n]["loss"][epoch] for n in (name, "pytorch"))
            assert found["loss"][epoch] == abs(ours - theirs)
    # Its own initialisation, so close to PyTorch's but not equal.
    assert 0 < same_weights["absolute_difference"]["pytorch_moved"]["loss"][1] < 0.1


def test_results_record_their_origin(same_weights):
    assert same_weights["mode"] == "same_weights"
    assert same_weights["command"].startswith(
        "python -m benchmarks.parity_training --config=experiments/base.py "
    )
    assert same_weights["config"]["hparams"]["dropout_rate"] == 0
    data = same_weights["data"]
    assert (data["data_set"], data["data_set_version"]) == ("waves", "1")
    assert data["records"] == {"train": 32, "val": 4, "test": 4}
    assert len(data["sha256"]) == 64
    assert {"jax", "flax", "torch", "numpy", "mrm_jax"} <= set(same_weights["versions"])
    assert same_weights["machine"]["cores"] >= 1
    assert same_weights["machine"]["cpu"]
    for curves in same_weights["curves"].values():
        assert curves["seconds"] > 0
        for aucs in curves["val_macro_auc"].values():
            assert len(aucs) == 2 and all(0 <= auc <= 1 for auc in aucs)
        assert set(curves["test_macro_auc"]) == {"high", "low", "mean"}


def test_each_seed_gives_a_different_run(flags, tmp_path, capsys):
    report = run(
        [*flags, "--config.num_epochs=1", "--mode=seeds", "--seeds=2"],
        tmp_path / "seeds",
    )
    assert report["seeds"] == [1, 2]
    assert report["config"]["hparams"]["dropout_rate"] == 0.2
    curves = report["curves"]
    losses = {round(run["loss"][0], 4) for name in curves for run in curves[name]}
    assert len(losses) == 4  # no two share weights, order and dropout
    for split, key in (("val", "val_macro_auc"), ("test", "test_macro_auc")):
        for name in ("mrm_jax", "pytorch"):
            last = np.ravel([run[key]["mean"] for run in curves[name]])
            assert report["final_auc"][name][split] == last.tolist()
            assert report["summary"][split][name]["mean"] == pytest.approx(last.mean())
    assert "test macro AUC, mean ± sd over seeds: mrm_jax 0." in capsys.readouterr().out


class Recorder:
    """A side that keeps its rows, and whose high scores of the split are perfect."""

    def __init__(self):
        self.rows = []

    def train_epoch(self, rows, track):
        self.rows.append(rows)
        return float(len(self.rows))

    def score(self, split):
        labels = np.array([[0], [1]])
        high, low = np.array([[0.1], [0.2]]), np.array([[0.9], [0.1]])
        return SplitScores.of_two(np.array(["a", "b"]), labels, high, low)


def test_order_depends_on_seed_and_epoch(flags):
    config = config_lib.load("experiments/base.py", flags[1:])
    spec = parity_training.read_plan(config, "seeds")
    side = Recorder()
    curves = parity_runs.train("recorder", side, spec)
    for epoch, rows in enumerate(side.rows, 1):
        expected = input_pipeline.shuffled_batches(32, 12, spec.seed, epoch)
        np.testing.assert_array_equal(rows, expected)
    assert curves.loss == [1.0, 2.0]
    # The mean scores, 0.5 and 0.15, are in the wrong order.
    assert curves.val_macro_auc == {"high": [1, 1], "low": [0, 0], "mean": [0, 0]}
    assert curves.test_macro_auc == {"high": 1, "low": 0, "mean": 0}


def test_summary_uses_paired_differences():
    found = parity_report.summary([0.8, 0.9, 1.0], [0.7, 0.8, 0.6])
    assert found["mrm_jax"] == pytest.approx({"mean": 0.9, "sd": 0.1})
    assert found["pytorch"] == pytest.approx({"mean": 0.7, "sd": 0.1})
    # Differences 0.1, 0.1, 0.4: mean 0.2, deviations -0.1, -0.1, 0.2.
    assert found["difference"] == pytest.approx({"mean": 0.2, "sd": 0.03**0.5})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--config.hparams.logit_weight=0.2"], "expected ['logit_weight'] as in"),
        (["--config.batch_size=31"], "batch_size 31 leaves a last batch of one record"),
        (["--torch_device=abacus"], "--torch_device abacus: Expected one of cpu"),
        (["--config.sed=1"], "no value --config.sed"),
    ],
)
def test_incomparable_results_raise(flags, more, message, tmp_path, capsys):
    assert parity_training.main([*flags, *more, f"--out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("--seeds=1", "--seeds: expected 2 or more, got 1"),
        ("--sedes=3", "unexpected arguments ['--sedes=3']"),
    ],
)
def test_invalid_flags_are_rejected(flags, more, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        parity_training.main([*flags, more, "--out=run"])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_without_pytorch_the_error_says_how_to_install_it(flags, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert parity_training.main([*flags, "--out=run"]) == 2
    assert capsys.readouterr().err.endswith("; `make parity` installs PyTorch\n")


def test_help_explains_every_flag(capsys):
    with pytest.raises(SystemExit) as exit_:
        parity_training.main(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--config FILE", "--mode", "--seeds", "--torch_device", "--out"):
        assert flag in text
