"""What a run has to know of its data before it can score other records."""

import dataclasses
from pathlib import Path

from mrm_jax import run_facts, shards, trained_run

NEEDED = tuple(
    "leads sampling_rate num_samples unit length_rule mean_uv std_uv".split()
)


def check_known(run: trained_run.TrainedRun) -> None:
    """Refuses weights that came without their data, such as PyTorch's.

    Raises:
        ValueError: naming what is unknown.
    """
    unknown = _unknown(run)
    if unknown:
        raise ValueError(
            f"{run.workdir}: weights without data, {', '.join(unknown)} are "
            "unknown; name the shards they were trained on: --shards FOLDER, or "
            "mrm_jax.load(..., shards_dir=FOLDER)"
        )


def told(run: trained_run.TrainedRun, shards_dir: Path | str) -> trained_run.TrainedRun:
    """Returns a run that did not know its data, with what shards say of it.

    Raises:
        ValueError: if the run knows its data, or the shards have other labels.
    """
    if not _unknown(run):
        raise ValueError(
            f"{run.workdir}: knows the data it was trained on; leave the shards out"
        )
    data = shards.load(shards_dir)
    facts = run_facts.describe_data(data.manifest, data.label_set_of(run.labels))
    return dataclasses.replace(
        run,
        facts=run.facts | {"data": facts},
        model=run.model.clone(num_samples=facts["num_samples"]),
    )


def _unknown(run: trained_run.TrainedRun) -> list[str]:
    return [name for name in NEEDED if run.data[name] is None]
