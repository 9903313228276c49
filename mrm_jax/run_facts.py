"""What travels inside every checkpoint and report: data, labels, units, versions."""

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from mrm_jax import manifest as manifests
from mrm_jax import version

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
EXTENDABLE = ("num_epochs",)  # may differ when a run is continued


def describe_data(
    manifest: manifests.Manifest, label_set: str, shards_dir: Path
) -> dict[str, Any]:
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
        "length_rule": manifest.length_rule,
        "mean_uv": chosen.mean_uv,
        "std_uv": chosen.std_uv,
        "manifest_sha256": manifests.sha256(shards_dir / manifests.MANIFEST),
    }


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

    Raises:
        ValueError: if anything but EXTENDABLE differs; lists what.
    """
    before = _flat({"config": saved["config"], "data": saved["data"]})
    after = _flat({"config": now["config"], "data": now["data"]})
    extendable = {f"config.{name}" for name in EXTENDABLE}
    differing = [
        f"{name}: {before.get(name)!r} there, {after.get(name)!r} now"
        for name in sorted(before.keys() | after.keys())
        if name not in extendable and before.get(name) != after.get(name)
    ]
    if differing:
        raise ValueError(
            f"{workdir}: holds a run with other settings; continue it with its own, or "
            "give another --workdir:\n  " + "\n  ".join(differing)
        )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
