"""A trained run: its metadata, thresholds and weights.

Evaluation, prediction, export and conversion all read a run with `read`, from its
folder, from one file (`weights_file`) or by the name of a model in the package. The
weights in a folder are restored when they are used.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from mrm_jax.data import leads, shards
from mrm_jax.metrics import scores, thresholds
from mrm_jax.models import networks
from mrm_jax.reports import run_report, thresholds_file
from mrm_jax.runs import exported_metadata, pretrained, weights_file
from mrm_jax.training import checkpoints, run_spec, saved_metadata, train_state
from mrm_jax.training import metadata as metadata_lib

INPUT_SPEC = tuple(
    "leads sampling_rate num_samples unit length_rule mean_uv std_uv".split()
)
HELP = "folder of a trained run, a .npz export, or the name of a shipped model"
DEFAULT_NUM_SAMPLES = 1000  # for runs that were imported without a data set


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """One epoch of a run, by default the best one on validation."""

    workdir: Path  # a folder, or the file or name of a run that is one file
    epoch: int
    epochs_trained: int
    thresholds: Mapping[str, thresholds.Thresholds]  # by head: high, low, mean
    metadata: dict[str, Any]  # of the checkpoint: config, data, versions, metrics, ...
    given: Mapping[str, Any] | None = None  # the variables of a run that is one file

    @property
    def data(self) -> dict[str, Any]:
        """The data set that the network expects, by DATA_KEYS; None means unknown."""
        return self.metadata["data"]

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the outputs, in their order."""
        return tuple(self.data["labels"])

    @property
    def num_leads(self) -> int:
        """The number of leads of the network's input."""
        return len(self.data["leads"] or leads.LEADS)

    @functools.cached_property
    def model(self) -> networks.Network:
        """The network for one device: `axis_name` is None."""
        config = run_spec.saved_config(self.metadata)
        num_samples = self.data["num_samples"] or DEFAULT_NUM_SAMPLES
        model = run_spec.network(config, len(self.labels), num_samples)
        return model.clone(axis_name=None)

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads whose scores are reported, such as mean, high and low."""
        return tuple(sorted(self.thresholds, key=lambda head: head != scores.MEAN))

    @property
    def thresholds_are(self) -> str:
        """Where the thresholds come from, one of `thresholds.SOURCES`."""
        return self.thresholds[scores.MEAN].source

    @property
    def averages_weights(self) -> bool:
        """Whether the weights that score are averages over the updates."""
        config = run_spec.saved_config(self.metadata)
        return self.given is None and config.average_weights

    @functools.cached_property
    def state(self) -> train_state.TrainState:
        """The state at the end of the epoch, restored to the host at its first use.

        A run that is one file has no state of the optimiser: its moments are zero.
        """
        if self.given is not None:
            return _fresh_state(self.given)
        with checkpoints.open_existing(self.workdir) as manager:
            like = train_state.shapes(self.model, self.averages_weights, self.num_leads)
            return jax.device_get(checkpoints.restore(manager, self.epoch, like))

    @property
    def variables(self) -> Mapping[str, Any]:
        """The arguments of `model.apply`."""
        if self.given is not None:
            return self.given
        return self.state.variables

    def require_folder(self, flag: str) -> None:
        """Checks that results of the run can go into its own folder.

        Args:
            flag: flag that names another place.

        Raises:
            ValueError: if the run is one file.
        """
        if self.given is not None:
            raise ValueError(
                f"{self.workdir}: this run is one file, which has no folder for "
                f"results. Name a place for them with `{flag}`."
            )

    def require_data_spec(self) -> None:
        """Checks that the run knows the data set that it was trained on.

        Raises:
            ValueError: if the run was imported without it, for example from PyTorch.
        """
        unknown = self._unknown()
        if unknown:
            raise ValueError(
                f"{self.workdir}: this run was imported without its data set, so "
                f"{', '.join(unknown)} are unknown. Name the shards that it was "
                "trained on with `--data SHARDS` or `mrm_jax.load(..., data=SHARDS)`."
            )

    def with_data_spec(self, data: shards.Shards) -> "TrainedRun":
        """Adds the data set of shards to a run that was imported without its data set.

        Raises:
            ValueError: if the run knows its data set, or the shards have other labels.
        """
        if not self._unknown():
            raise ValueError(
                f"{self.workdir}: this run knows the data set that it was trained on. "
                "Leave out the shards."
            )
        spec = run_spec.RunSpec.from_checkpoint(self.metadata, data)
        return self._with_data(spec.metadata["data"])

    def with_reported_data(self) -> "TrainedRun":
        """Returns the run with the data set of its report if it knows none itself.

        A run that was imported without its data set adopts the first one on which it
        is evaluated.
        """
        if self.data["sha256"] is not None or not run_report.exists(self.workdir):
            return self
        reported = run_report.read(self.workdir)["facts"]
        return self._with_data({key: reported[key] for key in metadata_lib.DATA_KEYS})

    def _with_data(self, data: dict[str, Any]) -> "TrainedRun":
        return dataclasses.replace(self, metadata=self.metadata | {"data": data})

    def _unknown(self) -> list[str]:
        return [name for name in INPUT_SPEC if self.data[name] is None]


def read(run: Path | str, newest: bool = False, own_code: bool = True) -> TrainedRun:
    """Reads a run, without the weights in its folder.

    A run that was imported without its data set adopts the one of its report: the
    first on which it was evaluated.

    Args:
        run: folder of a run with a finished epoch, of which the checkpoints are enough;
            a file that `python -m mrm_jax.export --format npz` wrote; or the name of a
            model in the package (`pretrained.names`).
        newest: whether to read the newest epoch, for training, instead of the best.
        own_code: whether to import a network that is no part of the package, which
            runs its code. The folder of a stranger must not choose it.

    Raises:
        ValueError: if there is no such run, it is damaged, or its network may not be
            imported.
    """
    path = Path(run)
    if path.is_file():
        return _read_file(path, path)
    if not path.exists() and str(run) in pretrained.names():
        return _read_file(pretrained.path_of(str(run)), path)
    if not path.exists():
        raise ValueError(
            f"{run}: there is no such folder or file. Train a run with "
            "`python -m mrm_jax.train`, or name a model in the package: "
            f"{', '.join(pretrained.names())}."
        )
    return _read_folder(path, newest, own_code).with_reported_data()


def _read_folder(workdir: Path, newest: bool, own_code: bool) -> TrainedRun:
    with checkpoints.open_existing(workdir) as manager:
        epochs_trained = manager.latest_step()
        epoch = epochs_trained if newest else checkpoints.best_epoch(manager)
        saved = checkpoints.read_metadata(manager, epoch)
    saved_metadata.check(saved, workdir)
    name = run_spec.saved_config(saved).model.name
    if not own_code and not networks.is_shipped(name):
        raise ValueError(
            f"{workdir}: its network is {name}, which is no part of mrm_jax. Only runs "
            "of the package's networks can be shared."
        )
    chosen = thresholds_file.read(workdir, saved, epoch, _heads(saved))
    return TrainedRun(workdir, epoch, epochs_trained, chosen, saved)


def _heads(saved: Mapping[str, Any]) -> tuple[str, ...]:
    name = run_spec.saved_config(saved).model.name
    return scores.heads_of(networks.branches(networks.find(name)))


def _read_file(path: Path, name: Path) -> TrainedRun:
    """Reads a run that is one file, under the name that messages use."""
    variables, described = weights_file.read(path)
    exported_metadata.check(described, path)
    saved = exported_metadata.checkpoint_metadata(described)
    saved_metadata.check(saved, path)
    exported_metadata.check_heads(described, _heads(saved), path)
    run = TrainedRun(
        name,
        saved["epoch"],
        saved["epochs_trained"],
        exported_metadata.thresholds(described),
        saved,
        variables,
    )
    if path == name:  # ours are checked by the tests
        _check_arrays(run, path)
    return run


def _check_arrays(run: TrainedRun, path: Path) -> None:
    """Checks that the arrays of a file are those of its network.

    Raises:
        ValueError: if a name or a shape differs; says which.
    """
    like = train_state.shapes(run.model, num_leads=run.num_leads)
    expected = _shapes(like.variables)
    found = _shapes(run.variables)
    differing = sorted(
        name
        for name in expected.keys() | found.keys()
        if expected.get(name) != found.get(name)
    )
    if differing:
        name = differing[0]
        raise ValueError(
            f"{path}: {len(differing)} arrays are not those of the network that it "
            f"describes. {name}: expected {expected.get(name, 'none')}, found "
            f"{found.get(name, 'none')}. Export the run again."
        )


def _shapes(variables: Mapping[str, Any]) -> dict[str, list[int]]:
    flat = flax.traverse_util.flatten_dict(dict(variables), sep="/")
    return {name: list(array.shape) for name, array in flat.items()}


def _fresh_state(variables: Mapping[str, Any]) -> train_state.TrainState:
    """Returns the state before the first step, on the host, without computing."""
    rng = jax.ShapeDtypeStruct((2,), np.uint32)
    like = jax.eval_shape(train_state.begin, rng, variables)
    empty = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
    return dataclasses.replace(empty, **train_state.parts_of(variables))
