"""A run to a file: written beside its place, loaded again, compared, put in place."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mrm_jax.data import shards
from mrm_jax.interop import (
    exported_model,
    npz_format,
    onnx_format,
    stablehlo_format,
    torch_format,
    verify,
)
from mrm_jax.interop import metadata as metadata_lib
from mrm_jax.runs import trained_run
from mrm_jax.runtime import atomic


class Format(Protocol):
    """What a module of a format has."""

    SUFFIX: str

    def write(self, path: Path, network: exported_model.Network) -> None:
        """Writes a file."""

    def load(self, path: Path) -> tuple[dict[str, Any], exported_model.Score]:
        """Returns the metadata of a file and its scores as a function of signals."""


FORMATS: Mapping[str, Format] = {
    "onnx": onnx_format,
    "stablehlo": stablehlo_format,
    "torch": torch_format,
    "npz": npz_format,
}


@dataclasses.dataclass(frozen=True)
class Result:
    """What is known of an exported file."""

    num_bytes: int
    difference: float  # of scores, from the run's own, at most
    rounding: float | None  # of the run's own scores in bfloat16, from these; at most


def with_data(
    run: trained_run.TrainedRun, data: shards.Shards | None
) -> trained_run.TrainedRun:
    """Returns the run with all it has to know of its input.

    Weights that came without data learn it from the shards.

    Raises:
        ValueError: if it is unknown, or the shards' records are not as the run's.
    """
    unknown = run.data["mean_uv"] is None
    if unknown and data is None:
        raise ValueError(
            f"{run.workdir}: these weights came without data, so their standardiser is "
            "unknown; name the shards they belong to with --data"
        )
    if data is None:
        return run
    if unknown:
        run = run.with_data_spec(data)
    _check_records(run, data)
    return run


def _check_records(run: trained_run.TrainedRun, data: shards.Shards) -> None:
    there = data.manifest
    for name in ("sampling_rate", "num_samples", "unit", "leads"):
        expected, found = run.data[name], getattr(there, name)
        if (list(found) if name == "leads" else found) != expected:
            raise ValueError(
                f"{data.folder}: expected {name} {expected} as in {run.workdir}, found "
                f"{found}; name shards of the run's kind with --data"
            )


def network(run: trained_run.TrainedRun) -> exported_model.Network:
    """Returns what is exported of a run: its scores, in float32.

    Not every runtime has bfloat16, and none rounds as another.
    """
    model = run.model.clone(mutual_stages=(), compute_dtype="float32")
    return exported_model.Network(model, run.variables, metadata_lib.describe(run))


def export(
    run: trained_run.TrainedRun, kind: str, path: Path, records: verify.Records
) -> Result:
    """Writes a file that gives the run's scores, or leaves what was there.

    Args:
        run: with all it has to know of its input.
        kind: one of FORMATS.
        path: of the file; its suffix is the format's.
        records: to compare on.

    Raises:
        ValueError: if the name does not fit, or the file's scores are not the run's.
        ImportError: if the format needs a package that is not installed.
        OSError: if the file cannot be written.
    """
    form, exported = FORMATS[kind], network(run)
    if not path.name.endswith(form.SUFFIX):
        raise ValueError(f"{path}: expected a name that ends in {form.SUFFIX}")
    path.parent.mkdir(parents=True, exist_ok=True)
    own = verify.own_scores(run, exported.model, records)
    with atomic.replacing(path) as temporary:
        form.write(temporary, exported)
        said, score = form.load(temporary)
        found = verify.scores(score, records.signals_mv)
        difference = verify.compare(found, own, records.names, run.labels)
        if said != exported.metadata:
            raise ValueError(f"{path}: the metadata changed on the way; report this")
        num_bytes = temporary.stat().st_size
    rounding = None
    if run.model.compute_dtype != exported.model.compute_dtype:
        rounded = verify.own_scores(run, run.model, records)
        rounding = verify.largest_difference(rounded, own)
    return Result(num_bytes, difference, rounding)
