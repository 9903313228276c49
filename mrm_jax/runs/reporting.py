"""Reports of a run: scoring with its best checkpoint, files and printed tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrm_jax.metrics import summary, thresholds
from mrm_jax.reports import console_table, latex, run_report, thresholds_file
from mrm_jax.runtime import atomic, console, devices, preemption, processes
from mrm_jax.training import metrics_log, run_folder, run_spec, scoring, train_state

CURVES_FILE = "curves.png"


def report(
    folder: run_folder.RunFolder,
    spec: run_spec.RunSpec,
    workdir: Path,
    handler: preemption.PreemptionHandler,
) -> dict[str, Any]:
    """Scores the test fold with the best checkpoint and writes the results of a run.

    Args:
        folder: folder of the run, opened with `processes.main_only`.
        spec: specification of the run.
        workdir: path of the same folder, in which process 0 writes.
        handler: preemption handler, which may stop the scoring. Nothing is written
            then.

    Raises:
        preemption.Preempted: if the run was preempted.
    """
    state = devices.replicate(folder.best_state())
    val, test = (
        scoring.score(spec, state, split, handler) for split in ("val", "test")
    )
    evaluated = summary.Evaluated(test, thresholds.choose(val), val=val)
    described = describe(spec, folder.best_epoch(), folder.num_epochs_done())
    return processes.run_on_main(lambda: write_own(workdir, spec, described, evaluated))


def check_same_data(folder: Path, external: Mapping[str, Any]) -> None:
    """Checks that a report in a folder, if there is one, may be replaced.

    Args:
        folder: folder of results on external data.
        external: the data that are evaluated now; of its keys, "sha256" is read.

    Raises:
        ValueError: if the report is on other data. A damaged one may be replaced.
    """
    if not run_report.exists(folder):
        return
    try:
        kept = run_report.read(folder)["facts"].get("evaluated_on")
    except ValueError:
        return
    if kept is not None and kept["sha256"] != external["sha256"]:
        raise ValueError(
            f"{folder}: this folder holds a report on other records or labels that "
            "have the same name and version. Remove it, or pass another folder with "
            "`--out`."
        )


def describe(
    spec: run_spec.RunSpec,
    epoch: int,
    epochs_trained: int,
    split: str = "test",
    **more: Any,
) -> dict[str, Any]:
    """Returns the metadata of a report: the run and the records it is evaluated on.

    Args:
        spec: specification of the run.
        epoch: the best epoch, which is evaluated.
        epochs_trained: number of epochs trained.
        split: the split that is evaluated.
        more: "evaluated_on": external data set on which the run is evaluated, by
            DATA_KEYS; "evaluated_by": command line, unless it is the training command;
            "thresholds_are": source of the thresholds, one of `thresholds.SOURCES`.
    """
    return {
        **spec.metadata["data"],
        "seed": spec.seed,
        "epoch": epoch,
        "epochs_trained": epochs_trained,
        "selection": spec.selection,
        "devices": devices.describe(),
        **{name: spec.metadata[name] for name in ("command", "config", "versions")},
        "split": split,
        **{key: spec.metadata[key] for key in ("init",) if key in spec.metadata},
        **{"evaluated_on": None, "evaluated_by": "", **more},
    }


def write_own(
    workdir: Path,
    spec: run_spec.RunSpec,
    facts: Mapping[str, Any],
    evaluated: summary.Evaluated,
) -> dict[str, Any]:
    """Writes the results of a finished run and returns the report.

    Earlier results remain until all new files are complete.

    Args:
        workdir: folder of the run, locked by `locks.writing`.
        spec: specification of the run.
        facts: metadata of the report, from `describe`.
        evaluated: scores of the run's own test fold, and how they are evaluated.
    """
    # Imported here, since matplotlib and jinja2 would delay the first step.
    from mrm_jax.plotting import training_curves
    from mrm_jax.reports import heads, model_card

    report, epoch = _compose(facts, evaluated), facts["epoch"]
    history = metrics_log.read(workdir)
    with atomic.replacing_together(workdir, run_report.JSON_FILE) as new:
        if history:  # empty if only the checkpoints were copied
            weights = heads.loss_weights(facts)
            path = new / CURVES_FILE
            training_curves.draw(history, path, epoch, spec.name, weights)
        thresholds_file.write(new, facts["labels"], evaluated.thresholds, epoch)
        card = model_card.render(workdir, report, num_parameters(spec))
        (new / model_card.FILE).write_text(card, encoding="utf-8")
        _write(new, workdir, spec, report, evaluated, history)
    return report


def write(
    folder: Path,
    spec: run_spec.RunSpec,
    facts: Mapping[str, Any],
    evaluated: summary.Evaluated,
    history: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Writes the report of any split and returns it.

    Args:
        folder: folder of the report, not of a run, locked by `locks.writing`.
        spec: specification of the run, with the records that were scored as its data.
        facts: metadata of the report, from `describe`.
        evaluated: scores of the split, and how they are evaluated.
        history: lines of the run's metrics.jsonl.
    """
    report = _compose(facts, evaluated)
    with atomic.replacing_together(folder, run_report.JSON_FILE) as new:
        _write(new, folder, spec, report, evaluated, history)
    return report


def num_parameters(spec: run_spec.RunSpec) -> int:
    """Returns the number of learned parameters of a run's network."""
    return train_state.num_parameters(
        train_state.shapes(spec.model, num_leads=spec.num_leads).params
    )


def _compose(facts: Mapping[str, Any], evaluated: summary.Evaluated) -> dict[str, Any]:
    labels, descriptions = facts["labels"], facts["descriptions"]
    return run_report.compose(facts, labels, descriptions, evaluated)


def _write(
    new: Path,
    folder: Path,
    spec: run_spec.RunSpec,
    report: Mapping[str, Any],
    evaluated: summary.Evaluated,
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Writes the page, tables and scores of `folder` to the folder `new`."""
    from mrm_jax.reports import html  # matplotlib would delay the first step

    records = spec.data.split(spec.label_set, evaluated.split)

    def read_signal_mv(rows: np.ndarray) -> np.ndarray:
        """Returns the signals of rows of the split, [record, time, lead], in mV."""
        return spec.data.signals_uv(records.rows[rows]) / 1000

    page = html.render(folder, report, evaluated.scores, history, read_signal_mv)
    (new / html.FILE).write_text(page, encoding="utf-8")
    latex.write_report(new, report)
    run_report.write(new, report, evaluated.scores)


def show(report: dict[str, Any], workdir: Path) -> None:
    """Prints the table of a report and the location of its files."""
    console_table.print_table(report, console.console())
    console.say(f"results: {workdir}; read {workdir / 'report.html'}")
