"""Export of a run to a file, which is verified before it replaces an existing one."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mrm_jax.data import leads, shards
from mrm_jax.interop import (
    exported_model,
    npz_format,
    onnx_format,
    stablehlo_format,
    torch_format,
    verify,
)
from mrm_jax.interop import metadata as metadata_lib
from mrm_jax.runs import trained_run, weights_file
from mrm_jax.runtime import atomic, locks


class Format(Protocol):
    """Interface of the modules that implement an export format."""

    SUFFIX: str

    def require(self) -> None:
        """Raises ImportError if a package is missing; says how to install it."""

    def write(self, path: Path, network: exported_model.Network) -> None:
        """Writes a file."""

    def load(self, path: Path) -> tuple[dict[str, Any], exported_model.Score]:
        """Returns a file's metadata and a function that scores signals with it."""


FORMATS: Mapping[str, Format] = {
    "onnx": onnx_format,
    "stablehlo": stablehlo_format,
    "torch": torch_format,
    "npz": npz_format,
}


@dataclasses.dataclass(frozen=True)
class Result:
    """Size of an exported file and its numerical agreement with the run."""

    num_bytes: int
    difference: float  # largest difference between the file's and the run's scores
    rounding: float | None  # largest difference to the run's own scores in bfloat16


def with_data(
    run: trained_run.TrainedRun, data: shards.Shards | None
) -> trained_run.TrainedRun:
    """Returns the run with a complete description of its input.

    A run that was imported without dataset information takes it from the shards.

    Args:
        run: trained run to export.
        data: shards on which the file is verified, or None; they also provide dataset
            information that the run lacks.

    Raises:
        ValueError: if the dataset is unknown, or if the shards do not match the run.
    """
    unknown = run.data["mean_uv"] is None
    if unknown and data is None:
        raise ValueError(
            f"{run.workdir}: this run was imported without dataset information, so its "
            "normalisation statistics are unknown. Pass --data SHARDS."
        )
    if data is None:
        return run
    if unknown:
        run = run.with_data_spec(data)
    _check_records(run, data)
    return run


def _check_records(run: trained_run.TrainedRun, data: shards.Shards) -> None:
    there = data.manifest
    leads.check_subset(run.data["leads"], there.leads)
    for name in ("sampling_rate", "num_samples", "unit"):
        expected, found = run.data[name], getattr(there, name)
        if found != expected:
            raise ValueError(
                f"{data.folder}: expected {name} {expected} as in {run.workdir}, found "
                f"{found}. Pass matching shards with --data."
            )


def network(
    run: trained_run.TrainedRun, precision: str = weights_file.FLOAT32
) -> exported_model.Network:
    """Returns the network to export: the run's network, computing in float32.

    Not every runtime supports bfloat16, and those that do round differently.

    Args:
        run: trained run whose dataset is known.
        precision: of the parameters in the file; only npz stores another than float32.
    """
    wanted = {"mutual_stages": (), "compute_dtype": "float32"}
    model = run.model.clone(
        **{name: value for name, value in wanted.items() if hasattr(run.model, name)}
    )
    described = metadata_lib.describe(run)
    return exported_model.Network(model, run.variables, described, precision)


def _is_rounded(run: trained_run.TrainedRun) -> bool:
    return getattr(run.model, "compute_dtype", "float32") != "float32"


def export(
    run: trained_run.TrainedRun,
    kind: str,
    path: Path,
    records: verify.Records,
    precision: str = weights_file.FLOAT32,
) -> Result:
    """Exports a run to a file and verifies that the file reproduces the run's scores.

    If an error occurs, an existing file at `path` is left unchanged.

    Args:
        run: trained run with dataset information, as returned by `with_data`.
        kind: export format, one of FORMATS.
        path: output file; its name ends in the suffix of the format.
        records: records on which the scores are compared.
        precision: as in `network`.

    Raises:
        ValueError: if the suffix is wrong, or the file's scores differ from the run's
            by more than `verify.TOLERANCES` allows.
        ImportError: if the format needs a package that is not installed.
        OSError: if the file cannot be written.
    """
    form, exported = FORMATS[kind], network(run, precision)
    if not path.name.endswith(form.SUFFIX):
        raise ValueError(f"{path}: expected a file name that ends in {form.SUFFIX}")
    FORMATS[kind].require()
    path.parent.mkdir(parents=True, exist_ok=True)
    own = verify.own_scores(run, exported.model, records)
    with locks.writing_file(path), atomic.replacing(path) as temporary:
        form.write(temporary, exported)
        said, score = form.load(temporary)
        found = verify.scores(score, records.signals_mv)
        tolerance = verify.TOLERANCES[precision]
        difference = verify.compare(found, own, records.names, run.labels, tolerance)
        if said != exported.metadata:
            raise ValueError(
                f"{path}: the metadata read back differ from those written. Please "
                "report this."
            )
        num_bytes = temporary.stat().st_size
    rounding = None
    if run.model != exported.model and _is_rounded(run):
        rounded = verify.own_scores(run, run.model, records)
        rounding = verify.largest_difference(rounded, own)
    return Result(num_bytes, difference, rounding)
