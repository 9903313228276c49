"""What travels inside every checkpoint and report: data, labels, units, versions."""

import dataclasses
import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from mrm_jax import version
from mrm_jax.data import manifest as manifests

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
DATA_KEYS = tuple(
    "data_set data_set_version label_set labels descriptions records leads "
    "sampling_rate num_samples unit length_rule mean_uv std_uv sha256".split()
)
# May differ when a run is continued: its name, more epochs, the same shards elsewhere,
# and where their signals are kept.
RESUME_MAY_CHANGE = ("name", "num_epochs", "data.shards", "data.resident_gib")
# And what may differ between one setting's runs of several seeds.
FREE_OF_SEEDS = ("name", "seed", "data.shards", "data.resident_gib")


def describe_data(manifest: manifests.Manifest, label_set: str) -> dict[str, Any]:
    """Returns what a network trained on these shards has to be told of its input."""
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
    """Returns the same of a network whose data are not at hand: None is unknown."""
    return dict.fromkeys(DATA_KEYS) | {"labels": list(labels)}


def _hash(manifest: manifests.Manifest, label_set: manifests.LabelSet) -> str:
    """Returns what tells these data from others, whichever tool version wrote them."""
    content = {"files": manifest.files, "label_set": dataclasses.asdict(label_set)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Returns what tells a run's configuration and data from others, but for FREE."""
    flat = _flat({"config": facts["config"], "data": facts["data"]})
    free = {f"config.{name}" for name in RESUME_MAY_CHANGE}
    content = {name: v for name, v in flat.items() if not _is_in(name, free)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Returns the versions of this software and of what it computes with."""
    found = {name: metadata.version(name) for name in LIBRARIES}
    return {"mrm_jax": version.VERSION, "python": platform.python_version(), **found}


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration as JSON reads it back: tuples are lists."""
    return json.loads(json.dumps(config))


def check_same_run(
    saved: Mapping[str, Any], now: Mapping[str, Any], workdir: Path
) -> None:
    """Refuses to continue a run with other settings or other data.

    What is None in `saved` was unknown there, and may be anything now.

    Raises:
        ValueError: if anything but FREE differs; lists what.
    """
    before, after = _compared(saved), _compared(now)
    free = {f"config.{name}" for name in RESUME_MAY_CHANGE}
    free |= {name for name, value in before.items() if value is None}
    differing = _differences(before, after, free, ("there", "now"))
    if differing:
        raise ValueError(
            f"{workdir}: holds a run with other settings; continue it with its own, or "
            "give another --workdir:\n  " + "\n  ".join(differing)
        )


def check_differ_in_seed(runs: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """Refuses runs that are not of one setting and of different seeds.

    Args:
        runs: folder and facts of each.

    Raises:
        ValueError: if anything but FREE_OF_SEEDS differs, or a seed stands there twice.
    """
    (first, facts), *others = runs
    seen = {facts["config"]["seed"]: first}
    for folder, other in others:
        differing = _differences(
            _compared(facts),
            _compared(other),
            {f"config.{name}" for name in FREE_OF_SEEDS},
            (f"in {first}", f"in {folder}"),
        )
        if differing:
            raise ValueError(
                "a mean over seeds needs runs that differ in their seed alone; to set "
                "runs side by side, give the others after --compare:\n  "
                + "\n  ".join(differing)
            )
        seed = other["config"]["seed"]
        if seed in seen:
            raise ValueError(
                f"seed {seed} in {seen[seed]} and again in {folder}; give runs of "
                "different seeds, as trained with --config.seed=NUMBER"
            )
        seen[seed] = folder


def check_same_everywhere(facts: Sequence[Mapping[str, Any]]) -> None:
    """Refuses a run whose processes, [process], were started with different facts.

    Only where their shards lie may differ.

    Raises:
        ValueError: if anything else does; lists what of the first that differs.
    """
    for process, other in enumerate(facts):
        places = ("on process 0", f"on process {process}")
        differing = _differences(
            _compared(facts[0]) | _flat(facts[0]["versions"], "versions."),
            _compared(other) | _flat(other["versions"], "versions."),
            {"config.data.shards"},
            places,
        )
        if differing:
            raise ValueError(
                "the processes of a run need the same settings, data and versions:\n  "
                + "\n  ".join(differing)
            )


def _compared(facts: Mapping[str, Any]) -> dict[str, Any]:
    return _flat({"config": facts["config"], "data": facts["data"]})


def _differences(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    free: Iterable[str],
    places: tuple[str, str],
) -> list[str]:
    """Returns a line for each flat name, not in free, with another value."""
    here, there = places
    return [
        f"{name}: {before.get(name)!r} {here}, {after.get(name)!r} {there}"
        for name in sorted(before.keys() | after.keys())
        if not _is_in(name, free) and before.get(name) != after.get(name)
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
