"""A validated run configuration.

This is the only module that reads the values of a configuration.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections

from mrm_jax.data import derived_shards, leads, manifest, shards, splits
from mrm_jax.metrics import scores
from mrm_jax.models import networks
from mrm_jax.models.mrm_net import network as mrm_net
from mrm_jax.runtime import devices
from mrm_jax.training import config_defaults, metadata, ranges
from mrm_jax.training import inherited as inherited_lib
from mrm_jax.training.hparams import AUGMENTATION, HParams


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """Specification of one run: its data, its network and its recipe.

    Raises:
        ValueError: if a value is out of range.
    """

    name: str
    seed: int
    batch_size: int  # over all devices
    num_epochs: int
    patience: int  # epochs without a better one after which to stop; 0: never
    selection_head: str  # its validation macro AUC selects the epoch
    data: shards.Shards
    label_set: str
    resident_bytes: int | None  # larger splits are streamed; None: as memory allows
    model: networks.Network
    hparams: HParams
    average_weights: bool  # score with averages of the weights over the updates
    augment: bool  # change the training records at random
    metadata: dict[str, Any]  # stored in every checkpoint
    # With init.run, see `runs.transfer`: what was taken over, and the first weights.
    inherited: inherited_lib.Inherited | None = None
    initial: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Checks the values that are not checked elsewhere."""
        for name in ("seed", "batch_size", "num_epochs", "patience"):
            ranges.check_size(name, getattr(self, name))
        heads = scores.heads_of(networks.branches(self.model))
        if self.selection_head not in heads:
            raise ValueError(
                f"selection_head: expected one of {heads}, got {self.selection_head!r}"
            )

        ranges.check_hparams(self.hparams)
        self._check_used("augment", AUGMENTATION)
        self._check_used("average_weights", ("average_decay",))

    def _check_used(self, option: str, names: Sequence[str]) -> None:
        """Checks that no value was set that an option would have to switch on."""
        if getattr(self, option):
            return
        defaults = HParams()
        for name in names:
            if getattr(self.hparams, name) != getattr(defaults, name):
                raise ValueError(
                    f"hparams.{name} has no effect unless {option} is True. Set "
                    f"`--config.{option}=True`, or leave its default, "
                    f"{getattr(defaults, name):g}."
                )

    @classmethod
    def from_checkpoint(
        cls,
        saved: Mapping[str, Any],
        data: shards.Shards | None = None,
        own_folds: bool = True,
    ) -> "RunSpec":
        """Returns the specification of a trained run, to score records with it.

        Args:
            saved: metadata of the checkpoint.
            data: shards to score, with any label set that has the run's labels.
                Default: the run's own shards, at their location during training.
            own_folds: whether the shards are split by the run's choice of folds.
                Otherwise they are split as their manifest says.

        Raises:
            ValueError: if the shards are not there or have no such label set.
        """
        config = saved_config(saved)
        if not own_folds:
            config.data.folds = dict.fromkeys(splits.NAMES)
        if data is None:
            data = _load_own_shards(config)
        else:
            config.data.shards = str(data.folder)
        config = with_label_set(config, data, saved["data"]["labels"])
        spec = build_run_spec(config, saved["command"], data)
        kept = {key: saved[key] for key in ("init",) if key in saved}
        return dataclasses.replace(spec, metadata=spec.metadata | kept)

    @property
    def selection(self) -> str:
        """The name of the metric that selects the best epoch."""
        return selection_of(self.selection_head)

    @property
    def num_leads(self) -> int:
        """The number of leads of the signals."""
        return len(self.data.manifest.leads)

    @property
    def described_labels(self) -> manifest.LabelSet:
        """The label set as the manifest describes it."""
        return self.data.manifest.label_sets[self.label_set]

    def headline(self) -> str:
        """Returns one line that describes the data of the run."""
        sizes = " / ".join(f"{n:,}" for n in self.described_labels.records.values())
        facts = self.data.manifest
        return (
            f"{self.name}: {facts.data_set} {facts.data_set_version}, label set "
            f"{self.label_set} with {self.model.num_labels} labels, {sizes} records "
            "(train / val / test)"
        )


def selection_of(head: str) -> str:
    """Returns the name of the metric by which a head selects the best epoch."""
    return f"val/macro_auc_{head}"


def build_run_spec(
    config: ml_collections.ConfigDict,
    command: str = "",
    data: shards.Shards | None = None,
) -> RunSpec:
    """Reads and validates a configuration.

    Args:
        config: a locked configuration, as made by `experiments/base.py`.
        command: command line of the run, stored in its metadata.
        data: the shards that the configuration names, if they are already open.

    Raises:
        ValueError: if a value is out of range or the shards do not fit.
    """
    if data is None:
        if config.data.shards is None:
            raise ValueError(
                "data.shards: expected the folder of the shards to train on, got None"
            )
        data = shards.load(config.data.shards)
    label_set = config.data.label_set
    data = _with_leads(_with_folds(data, config), config)
    num_labels = len(data.label_set(label_set).labels)
    resident_gib = config.data.resident_gib
    if resident_gib is not None and not 0 <= resident_gib < float("inf"):
        raise ValueError(f"data.resident_gib: expected 0 or more, got {resident_gib:g}")
    return RunSpec(
        name=config.name,
        seed=config.seed,
        batch_size=config.batch_size,
        num_epochs=config.num_epochs,
        patience=config.patience,
        selection_head=config.selection_head,
        data=data,
        label_set=label_set,
        resident_bytes=None if resident_gib is None else int(resident_gib * 2**30),
        model=network(config, num_labels, data.manifest.num_samples),
        hparams=HParams(
            **config.hparams,
            total_steps=_total_steps(config, data.manifest.label_sets[label_set]),
        ),
        average_weights=config.average_weights,
        augment=config.augment,
        metadata={
            "config": metadata.plain(config.to_dict()),
            "data": metadata.describe_data(data.manifest, label_set),
            "versions": metadata.versions(),
            "command": command,
        },
    )


def _with_folds(
    data: shards.Shards, config: ml_collections.ConfigDict
) -> shards.Shards:
    """Returns the shards with the splits that the configuration asks for."""
    asked = config.data.folds
    default = data.manifest.split_folds
    chosen = {"train": asked.train, "val": asked.val, "test": asked.test}
    folds = splits.complete(chosen, default)
    if folds == default:
        return data
    return derived_shards.with_folds(data, folds, config.data.label_set)


def _with_leads(
    data: shards.Shards, config: ml_collections.ConfigDict
) -> shards.Shards:
    """Returns the shards with the leads that the configuration asks for."""
    if config.data.leads is None:
        return data
    names = leads.standard_names(tuple(config.data.leads))
    if names == data.manifest.leads:
        return data
    return derived_shards.with_leads(data, names, config.data.label_set)


def _total_steps(
    config: ml_collections.ConfigDict, label_set: manifest.LabelSet
) -> float:
    """Returns the number of updates of the whole run."""
    steps = -(-label_set.records["train"] // max(config.batch_size, 1))
    return float(steps * config.num_epochs)


def saved_config(saved: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """Returns the configuration of a checkpoint, with defaults of options added since.

    Args:
        saved: metadata of the checkpoint.
    """
    return config_defaults.fill(ml_collections.ConfigDict(saved["config"]))


def _load_own_shards(config: ml_collections.ConfigDict) -> shards.Shards:
    folder = config.data.shards
    if folder is None:
        raise ValueError(
            "This run was imported without its data set. Pass `--data SHARDS`."
        )
    if not Path(folder).is_dir():
        raise ValueError(
            f"{folder}: the shards of this run are not there. Pass their folder with "
            "`--data SHARDS`."
        )
    return shards.load(folder)


def with_label_set(
    config: ml_collections.ConfigDict, data: shards.Shards, labels: Sequence[str]
) -> ml_collections.ConfigDict:
    """Returns a copy of config with a label set that has these labels in this order.

    The label set that config names is kept if it has these labels.

    Raises:
        ValueError: if the shards have no such label set.
    """
    found = ml_collections.ConfigDict(config)
    named = data.manifest.label_sets.get(config.data.label_set)
    if named is None or named.labels != tuple(labels):
        found.data.label_set = data.label_set_of(labels)
    return found


def network(
    config: ml_collections.ConfigDict, num_labels: int, num_samples: int
) -> networks.Network:
    """Returns the network of a configuration.

    Raises:
        ValueError: if there is no such network, or a value is invalid or does not fit
            the number of samples.
    """
    if config.model.name != networks.MRM_NET:
        return networks.build(
            config.model.name,
            dict(config.model.options),
            num_labels=num_labels,
            num_samples=num_samples,
            compute_dtype=config.model.compute_dtype,
            axis_name=devices.AXIS,
        )
    if config.model.options:
        raise ValueError(
            "model.options: MRM-Net has none; its options are values of config.model"
        )
    ranges.check_size("model.width", config.model.width)
    return mrm_net.MRMNet(
        num_labels=num_labels,
        num_samples=num_samples,
        width=config.model.width,
        mutual_stages=tuple(config.model.mutual_stages),
        feature_pairing=config.model.feature_pairing,
        logit_divergence=config.model.logit_divergence,
        exchange=config.model.exchange,
        eca_conv=config.model.eca_conv,
        compute_dtype=config.model.compute_dtype,
        axis_name=devices.AXIS,
    )
