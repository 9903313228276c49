import shutil
import signal
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.training import checkpoint_store, checkpoints, train_state


def state(value):
    """A state of the right structure, whose numbers all are `value`."""
    return train_state.TrainState(
        step=np.array(value, np.int32),
        rng=np.array([0, value], np.uint32),
        params={"kernel": np.full((2, 3), value, np.float32)},
        batch_stats={"mean": np.full(3, value, np.float32)},
        opt_state=({"count": np.array(value, np.int32)}, ()),
    )


def save_epochs(workdir, selections):
    with checkpoints.open_manager(workdir) as manager:
        for epoch, selection in enumerate(selections, 1):
            facts = {"epoch": epoch, "labels": ["a", "b"]}
            checkpoints.save(manager, epoch, state(epoch), facts, selection)


@pytest.mark.parametrize(
    ("selections", "kept"),
    [([0.5], {1}), ([0.5, 0.9, 0.7], {2, 3}), ([0.5, 0.6, 0.7], {3})],
)
def test_the_newest_and_best_checkpoints_are_kept(tmp_path, selections, kept):
    save_epochs(tmp_path, selections)
    with checkpoints.open_manager(tmp_path) as manager:
        assert set(manager.all_steps()) == kept
        assert manager.latest_step() == len(selections)
        assert manager.best_step() == 1 + int(np.argmax(selections))


def test_a_checkpoint_that_is_half_removed_is_none(tmp_path, monkeypatch):
    def remove_a_part(folder, **_):
        """Removes what a process did that was killed meanwhile."""
        for path in Path(folder).rglob("facts/metadata"):
            path.unlink()

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", remove_a_part)
        save_epochs(tmp_path, [0.5, 0.6])
    with checkpoints.open_existing(tmp_path) as manager:
        assert checkpoints.best_epoch(manager) == 2
        assert list(manager.all_steps()) == [2]
    checkpoints.remove_deleted(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["epoch_2"]


def test_nothing_is_left_of_removed_checkpoints(tmp_path):
    save_epochs(tmp_path, [0.5, 0.9, 0.7, 0.8])
    found = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert found == {"epoch_2", "epoch_4"}


def test_checkpoint_round_trip(tmp_path):
    save_epochs(tmp_path, [0.5, 0.4])
    with checkpoints.open_existing(tmp_path) as manager:
        restored = checkpoints.restore(manager, 2, state(0))
        assert checkpoints.read_metadata(manager, 2) == {
            "epoch": 2,
            "labels": ["a", "b"],
        }
    assert restored.step == 2 and restored.step.dtype == jnp.int32
    np.testing.assert_array_equal(restored.rng, [0, 2])
    np.testing.assert_array_equal(restored.params["kernel"], np.full((2, 3), 2.0))
    assert restored.opt_state[0]["count"] == 2


@pytest.fixture
def interruptible():
    """Handles Ctrl-C as Python does, also where whoever runs the tests ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_reading_a_checkpoint_formats_no_array(tmp_path, interruptible):
    save_epochs(tmp_path, [0.5])
    formatted = []
    with (
        checkpoints.open_existing(tmp_path) as manager,
        np.printoptions(formatter={"all": lambda x: formatted.append(x) or str(x)}),
    ):
        repr(np.ones(2))
        assert formatted == [1, 1]
        checkpoints.restore(manager, 1, state(0))
    assert formatted == [1, 1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def damage(checkpoint):
    """Flips a bit in the largest file of the arrays."""
    path = max(checkpoint.glob("state/**/d/*"), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_checkpoint_names_the_intact_one(tmp_path):
    save_epochs(tmp_path, [0.9, 0.8])
    folder = tmp_path / "checkpoints"
    damage(folder / "epoch_2")
    with checkpoints.open_existing(tmp_path) as manager:
        checkpoints.restore(manager, 1, state(0))
        with pytest.raises(
            checkpoint_store.DamagedError,
            match=f"{folder}/epoch_2: this checkpoint is damaged .*"
            f"{folder}/epoch_1 is intact. To go on with it, move the damaged folder",
        ):
            checkpoints.restore(manager, 2, state(0))
    damage(folder / "epoch_1")
    with checkpoints.open_existing(tmp_path) as manager:
        with pytest.raises(
            checkpoint_store.DamagedError, match="epoch_1.*Restore it from a copy"
        ):
            checkpoints.restore(manager, 1, state(0))


def test_changed_metadata_are_noticed(tmp_path):
    save_epochs(tmp_path, [0.9])
    path = tmp_path / "checkpoints" / "epoch_1" / "facts" / "metadata"
    path.write_text(path.read_text().replace('"a"', '"c"'))
    with checkpoints.open_existing(tmp_path) as manager:
        with pytest.raises(
            checkpoint_store.DamagedError, match="metadata differ from their checksum"
        ):
            checkpoints.read_metadata(manager, 1)


def test_a_changed_metric_does_not_select_another_epoch(tmp_path):
    save_epochs(tmp_path, [0.9, 0.8])
    path = tmp_path / "checkpoints" / "epoch_1" / "metrics" / "metrics"
    path.write_text(path.read_text().replace("0.9", "0.1"))
    with checkpoints.open_existing(tmp_path) as manager:
        with pytest.raises(
            checkpoint_store.DamagedError, match="metric differs from its checksum"
        ):
            checkpoints.best_epoch(manager)


def test_a_damaged_unfinished_epoch_can_be_trained_again(tmp_path):
    checkpoints.save_unfinished(tmp_path, state(3), {"epoch": 1})
    path = tmp_path / "unfinished" / "step_3" / "facts" / "metadata"
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(
        checkpoint_store.DamagedError,
        match=f"Or remove {tmp_path}/unfinished to train its epoch again",
    ):
        checkpoints.read_unfinished_metadata(tmp_path)


def test_a_folder_without_checkpoints_raises(tmp_path):
    with pytest.raises(ValueError, match="this folder has no checkpoints"):
        checkpoints.open_existing(tmp_path)


def test_a_run_without_a_finished_epoch_raises(tmp_path):
    save_epochs(tmp_path, [])
    with pytest.raises(ValueError, match="no finished epoch yet"):
        checkpoints.open_existing(tmp_path)
