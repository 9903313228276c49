"""Starts a run from the weights of another one, also with other labels (fine-tuning).

All weights that fit are taken over. The rows of the output layers are taken over for
labels that both runs have, and new for all others.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from mrm_jax.data import derived_shards
from mrm_jax.models import networks
from mrm_jax.runs import trained_run
from mrm_jax.runtime import console
from mrm_jax.training import inherited, output_layers, run_spec, train_state

STATISTICS = ("data", "run")
INPUT_KEYS = ("leads", "unit", "sampling_rate")
MAX_NAMED = 8  # arrays


@dataclasses.dataclass(frozen=True)
class Source:
    """The weights of a run, and what is known about it."""

    name: str  # folder, file or name of a shipped model
    variables: Mapping[str, Any]  # "params" and "batch_stats"
    data: Mapping[str, Any]  # the run's data set, by DATA_KEYS; None is unknown
    epoch: int | None
    bound_samples: int | None = None  # see `networks.bound_samples`


def read(run: str) -> Source:
    """Returns the weights of a run's best epoch.

    Args:
        run: folder, .npz export or name of a shipped model.

    Raises:
        ValueError: as `trained_run.read`.
    """
    found = trained_run.read(run)
    return Source(
        run,
        jax.device_get(found.variables),
        found.data,
        found.epoch,
        networks.bound_samples(found.model),
    )


def prepare(spec: run_spec.RunSpec, source: Source | None = None) -> run_spec.RunSpec:
    """Returns a run that starts from the weights which its configuration names.

    A configuration that names none returns the run unchanged.

    Args:
        spec: specification of the new run.
        source: the weights, if they are not to be read from `init.run`.

    Raises:
        ValueError: if there is no such run, its network or its input is another one,
            or a value of `init` is invalid.
    """
    wanted = spec.metadata["config"]["init"]
    if not wanted["run"]:
        _check_unused(spec, wanted)
        return spec
    if wanted["statistics"] not in STATISTICS:
        raise ValueError(
            f"init.statistics: expected one of {STATISTICS}, got "
            f"{wanted['statistics']!r}"
        )
    source = source or read(wanted["run"])
    _check_input(spec, source)
    initial, new, taken = _combine(spec, source)
    inherited.check_frozen(wanted["freeze"], initial["params"])
    spec = _with_statistics(spec, source, wanted["statistics"])
    fresh = [label for label in spec.described_labels.labels if label not in taken]
    _say(spec, source, taken, fresh)
    described = {
        "run": source.name,
        "epoch": source.epoch,
        "sha256": _hash(source.variables),
        "labels_taken": list(taken),
        "labels_new": fresh,
    }
    return dataclasses.replace(
        spec,
        inherited=inherited.Inherited(new, tuple(wanted["freeze"])),
        initial=initial,
        metadata=spec.metadata | {"init": described},
    )


def _check_unused(spec: run_spec.RunSpec, wanted: Mapping[str, Any]) -> None:
    """Checks that nothing was set that only weights of another run would use."""
    if inherited.is_configured(wanted, spec.hparams):
        raise ValueError(
            "init.freeze, init.statistics and hparams.inherited_rate have no effect "
            "without the weights of another run. Name it with `--init_from RUN`."
        )


def _check_input(spec: run_spec.RunSpec, source: Source) -> None:
    """Checks that both networks see the same kind of signal; None is unknown.

    The length of the signal may differ, unless the parameters belong to one.
    """
    own = spec.metadata["data"]
    for key in INPUT_KEYS:
        theirs = source.data[key]
        if theirs is not None and theirs != own[key]:
            raise ValueError(
                f"{source.name}: its network was trained with {key} {theirs}, but the "
                f"data have {own[key]}. Prepare the data as those of that run."
            )
    ours, bound = networks.bound_samples(spec.model), source.bound_samples
    if None not in (ours, bound) and ours != bound:
        raise ValueError(
            f"{source.name}: the parameters of its network belong to {bound} time "
            f"points, but this network sees {ours}, for which they would be other "
            "filters. Train on crops of the same length, with "
            f"model.options.crop_samples = {bound} in the experiment."
        )


def _combine(
    spec: run_spec.RunSpec, source: Source
) -> tuple[dict[str, Any], frozenset[inherited.Path], Sequence[str]]:
    """Returns the first variables, the new parameters, and the labels taken over.

    If one label is new, the parameters of the output layers count as new as a whole.
    """
    rng = jax.random.PRNGKey(spec.seed)
    own = flax.traverse_util.flatten_dict(
        dict(
            jax.device_get(
                train_state.create(rng, spec.model, spec.num_leads).raw_variables
            )
        )
    )
    theirs = flax.traverse_util.flatten_dict(dict(source.variables))
    axes = output_layers.label_axes(spec.model, spec.num_leads)
    _check_same_network(own, theirs, axes, source.name)
    labels, known = spec.described_labels.labels, source.data["labels"] or ()
    taken = [label for label in labels if label in known]
    places = ([labels.index(n) for n in taken], [list(known).index(n) for n in taken])
    found = {}
    for path, value in own.items():
        if path in axes:
            found[path] = _with_labels(value, theirs[path], axes[path], places)
        else:
            found[path] = np.asarray(theirs[path], value.dtype)
    new = frozenset(
        path[1:] for path in axes if path[0] == "params" and len(taken) < len(labels)
    )
    return flax.traverse_util.unflatten_dict(found), new, taken


def _with_labels(
    own: np.ndarray, theirs: np.ndarray, axis: int, places: Sequence[Sequence[int]]
) -> np.ndarray:
    """Returns own weights of an output layer, with those of shared labels replaced."""
    result = np.moveaxis(np.array(own), axis, 0)
    result[list(places[0])] = np.moveaxis(theirs, axis, 0)[list(places[1])]
    return np.moveaxis(result, 0, axis)


def _check_same_network(
    own: Mapping[inherited.Path, Any],
    theirs: Mapping[inherited.Path, Any],
    axes: Mapping[inherited.Path, int],
    name: str,
) -> None:
    """Checks that the networks differ in their labels only."""

    def shape(arrays: Mapping[inherited.Path, Any], path: inherited.Path) -> Any:
        """Returns a shape without its axis of labels; None if there is no array."""
        if path not in arrays:
            return None
        found = np.shape(arrays[path])
        return found[: axes[path]] + found[axes[path] + 1 :] if path in axes else found

    differing = [
        "/".join(path)
        for path in sorted(own.keys() | theirs.keys())
        if shape(own, path) != shape(theirs, path)
    ]
    if differing:
        more = ", ..." if len(differing) > MAX_NAMED else ""
        raise ValueError(
            f"{name}: its network is another one; {len(differing)} arrays differ "
            f"({', '.join(differing[:MAX_NAMED])}{more}). Set `config.model` as in "
            "that run."
        )


def _with_statistics(
    spec: run_spec.RunSpec, source: Source, choice: str
) -> run_spec.RunSpec:
    """Returns the run with the mean and the standard deviation that were chosen."""
    if choice == "data":
        return spec
    mean_std = {key: source.data[key] for key in ("mean_uv", "std_uv")}
    if None in mean_std.values():
        raise ValueError(
            f"{source.name} does not know the statistics of its data. Leave "
            "`--config.init.statistics` at data."
        )
    return dataclasses.replace(
        spec,
        data=derived_shards.with_mean_std(spec.data, spec.label_set, **mean_std),
        metadata=spec.metadata | {"data": spec.metadata["data"] | mean_std},
    )


def _say(
    spec: run_spec.RunSpec, source: Source, taken: Sequence[str], fresh: Sequence[str]
) -> None:
    entry = spec.described_labels
    frozen = spec.metadata["config"]["init"]["freeze"]
    outputs = [f"taken over for {', '.join(taken)}"] if taken else []
    outputs += [f"new for {', '.join(fresh)}"] if fresh else []
    console.say(
        f"starting from {source.name}: outputs {'; '.join(outputs)}; frozen: "
        f"{', '.join(frozen) or 'nothing'}; mean {entry.mean_uv:.2f} uV and standard "
        f"deviation {entry.std_uv:.2f} uV of the "
        f"{'run' if spec.metadata['config']['init']['statistics'] == 'run' else 'data'}"
    )


def _hash(variables: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of all arrays, in the order of their names."""
    content = hashlib.sha256()
    flat = flax.traverse_util.flatten_dict(dict(variables), sep="/")
    for name in sorted(flat):
        content.update(name.encode() + np.ascontiguousarray(flat[name]).tobytes())
    return content.hexdigest()
