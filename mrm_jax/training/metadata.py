"""Metadata of a run, stored in every checkpoint: configuration, data, versions.

It tells whether two runs are the same, or differ only in their seed.
"""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from mrm_jax import version
from mrm_jax.data import manifest as manifests
from mrm_jax.data import splits
from mrm_jax.models import networks
from mrm_jax.training import hparams, unused

_NONE = object()  # equals nothing
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
DATA_KEYS = tuple(
    "data_set data_set_version label_set labels descriptions records leads "
    "sampling_rate num_samples unit length_rule mean_uv std_uv sha256".split()
)
# Values that may change when a run resumes: its name, the end of its training, and
# where the shards and their signals are.
ENDS = ("num_epochs", "patience")
RESUME_MAY_CHANGE = (
    "name",
    *ENDS,
    "data.shards",
    "data.resident_gib",
)
# Options that were added after 0.1.0, with the values of runs before.
LATER: dict[str, Any] = {
    "config.patience": 0,
    "config.average_weights": False,
    "config.augment": False,
    "config.model.name": networks.MRM_NET,
    "config.data.leads": None,
    "config.init.run": None,
    "config.init.freeze": [],
    "config.init.statistics": "data",
    **{f"config.data.folds.{name}": None for name in splits.NAMES},
    **{
        f"config.hparams.{name}": value
        for name, value in hparams.later_defaults().items()
    },
}
# A schedule ends with the run, so its length belongs to the run.
SCHEDULE = ("config.hparams.warmup_fraction", "config.hparams.final_rate")
# What tells the weights that a run started from, as `runs.transfer` describes them.
FIRST_WEIGHTS = ("epoch", "sha256")
# Values that may differ between the runs of a summary over seeds.
SEEDS_MAY_CHANGE = ("name", "seed", "data.shards", "data.resident_gib")


def describe_data(manifest: manifests.Manifest, label_set: str) -> dict[str, Any]:
    """Returns the data set that a network is trained on, by DATA_KEYS."""
    chosen = manifest.label_sets[label_set]
    return {
        "data_set": manifest.data_set,
        "data_set_version": manifest.data_set_version,
        "label_set": label_set,
        "labels": list(chosen.labels),
        "descriptions": list(chosen.descriptions),
        "records": dict(chosen.records),
        "leads": list(manifest.leads),
        "sampling_rate": manifest.sampling_rate,
        "num_samples": manifest.num_samples,
        "unit": manifest.unit,
        "length_rule": manifest.length_policy,
        "mean_uv": chosen.mean_uv,
        "std_uv": chosen.std_uv,
        "sha256": _hash(manifest, chosen),
    }


def describe_labels(labels: Sequence[str]) -> dict[str, Any]:
    """Returns the metadata of a data set with known labels; the rest is None."""
    return dict.fromkeys(DATA_KEYS) | {"labels": list(labels)}


def _hash(manifest: manifests.Manifest, label_set: manifests.LabelSet) -> str:
    """Returns a hash of the data, independent of the version that wrote the shards."""
    content = {"files": manifest.files, "label_set": label_set.to_dict()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def fingerprint(run: Mapping[str, Any]) -> str:
    """Returns a hash of a run's configuration and data without RESUME_MAY_CHANGE.

    Args:
        run: metadata of the run.
    """
    flat = _compared(run)
    free = _free(flat)
    content = {name: v for name, v in flat.items() if not _is_in(name, free)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Returns the versions of mrm_jax, Python and LIBRARIES."""
    found = {name: metadata.version(name) for name in LIBRARIES}
    return {"mrm_jax": version.VERSION, "python": platform.python_version(), **found}


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration as read back from JSON: tuples become lists."""
    return json.loads(json.dumps(config))


def check_same_run(
    saved: Mapping[str, Any], now: Mapping[str, Any], workdir: Path
) -> None:
    """Checks that a run resumes with its own settings and data.

    Args:
        saved: metadata of the run in the folder. None is unknown and matches any value.
        now: metadata of the run that is started.
        workdir: the folder, for the message.

    Raises:
        ValueError: if a value differs that the network reads and that is not in
            RESUME_MAY_CHANGE; lists them.
    """
    before, after = _pair(saved, now)
    free = _free(after)
    free |= {name for name, value in before.items() if value is None}
    free |= {f"config.{name}" for name in unused.reasons(now["config"])}
    differing = _differences(before, after, free, ("there", "now"))
    if differing:
        raise ValueError(
            f"{workdir}: this folder holds a run with other settings. Resume it with "
            "its own settings, or pass another `--workdir`. These differ:\n  "
            + "\n  ".join(differing)
            + _advice_on_weights(differing)
        )


def check_differ_in_seed(runs: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """Checks that runs have the same settings and different seeds.

    Args:
        runs: folder and metadata of each run.

    Raises:
        ValueError: if a value differs that is not in SEEDS_MAY_CHANGE, or two runs have
            the same seed.
    """
    check_alike(
        runs,
        [f"config.{name}" for name in SEEDS_MAY_CHANGE],
        "A summary over seeds needs runs that differ only in their seed. To compare "
        "other runs, pass them with `--compare`.",
    )
    seen: dict[int, Path] = {}
    for folder, run in runs:
        seed = run["config"]["seed"]
        if seed in seen:
            raise ValueError(
                f"The runs {seen[seed]} and {folder} have the same seed, {seed}. Pass "
                "runs with different seeds, trained with `--config.seed=NUMBER`."
            )
        seen[seed] = folder


def check_alike(
    runs: Sequence[tuple[Path, Mapping[str, Any]]],
    may_change: Sequence[str],
    advice: str,
) -> None:
    """Checks that all runs have the values of the first one.

    Values that only end a training are not compared, as a run may go on with others;
    `runs.alike` compares the epochs.

    Args:
        runs: folder and metadata of each run.
        may_change: values that may differ, such as "config.seed" or "data.records".
        advice: beginning of the error, which says what to do.

    Raises:
        ValueError: if another value differs; lists those of the first such run.
    """
    (first, of_first), *others = runs
    ends = {f"config.{name}" for name in ENDS} & _free(_compared(of_first))
    for folder, other in others:
        differing = _differences(
            *_pair(of_first, other),
            ends.union(may_change),
            (f"in {first}", f"in {folder}"),
        )
        if differing:
            listed = "\n  ".join(differing)
            more = _advice_on_weights(differing)
            raise ValueError(f"{advice} These differ:\n  {listed}{more}")


def check_same_everywhere(runs: Sequence[Mapping[str, Any]]) -> None:
    """Checks that all processes of a run were started alike.

    Args:
        runs: metadata on each process. Only the location of the shards may differ.

    Raises:
        ValueError: if another value differs; lists those of the first such process.
    """
    for process, other in enumerate(runs):
        places = ("on process 0", f"on process {process}")
        first, values = _pair(runs[0], other)
        differing = _differences(
            first | _flat(runs[0]["versions"], "versions."),
            values | _flat(other["versions"], "versions."),
            {"config.data.shards"},
            places,
        )
        if differing:
            raise ValueError(
                "All processes of a run need the same settings, data and versions. "
                "These differ:\n  " + "\n  ".join(differing)
            )


def _compared(run: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values by which runs are compared.

    Those in LATER are left out while they are as in 0.1.0, so that its runs still
    have the same fingerprint.
    """
    flat = _flat({"config": run["config"], "data": run["data"]})
    return {name: v for name, v in flat.items() if LATER.get(name, _NONE) != v}


def _pair(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the values by which two runs are compared, with their first weights.

    Exported files do not name the first weights, which then match any.
    """
    found = _compared(one), _compared(other)
    weights = one.get("init", {}), other.get("init", {})
    for name in FIRST_WEIGHTS:
        if all(name in init for init in weights):
            for values, init in zip(found, weights, strict=True):
                values[f"init.{name}"] = init[name]
    return found


def _advice_on_weights(differing: Sequence[str]) -> str:
    """Returns what to do if runs started from other weights; else an empty text."""
    if not any(line.startswith("init.") for line in differing):
        return ""
    return (
        "\nThe run that init.run names had other weights then. Restore its "
        "checkpoints, or train again in a new `--workdir`."
    )


def _free(flat: Mapping[str, Any]) -> set[str]:
    """Returns the names that may change when a run resumes."""
    free = {f"config.{name}" for name in RESUME_MAY_CHANGE}
    return free - {"config.num_epochs"} if set(SCHEDULE) & flat.keys() else free


def _differences(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    may_change: Iterable[str],
    places: tuple[str, str],
) -> list[str]:
    """Returns a line for each flat name with another value, except may_change."""
    here, there = places
    return [
        f"{name}: {before.get(name, LATER.get(name))!r} {here}, "
        f"{after.get(name, LATER.get(name))!r} {there}"
        for name in sorted(before.keys() | after.keys())
        if not _is_in(name, may_change) and before.get(name) != after.get(name)
    ]


def _is_in(name: str, tops: Iterable[str]) -> bool:
    """Returns whether a dotted name is one of tops, or below one."""
    return any(name == top or name.startswith(f"{top}.") for top in tops)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
