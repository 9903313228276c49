import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.training import checkpoints, train_state


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


def test_a_folder_without_checkpoints_raises(tmp_path):
    with pytest.raises(ValueError, match="this folder has no checkpoints"):
        checkpoints.open_existing(tmp_path)


def test_a_run_without_a_finished_epoch_raises(tmp_path):
    save_epochs(tmp_path, [])
    with pytest.raises(ValueError, match="no finished epoch yet"):
        checkpoints.open_existing(tmp_path)
