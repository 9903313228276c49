"""Lists the experiments and the trained models that the package contains."""

import argparse
import importlib
from collections.abc import Sequence

import rich.table

from mrm_jax.reports import tables
from mrm_jax.runs import pretrained, weights_file
from mrm_jax.runtime import cli, console
from mrm_jax.training import shipped_experiments


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table and returns the exit status."""
    flags = argparse.ArgumentParser(prog="python -m mrm_jax list", description=__doc__)
    cli.add_version(flags)
    flags.parse_args(argv)
    tables.show(_experiments(), console.console())
    console.say(
        "Use a name with --config, for example: "
        "python -m mrm_jax.train --config cpsc2018\n"
    )
    tables.show(_models(), console.console())
    console.say(
        "Use a name with --run, for example: python -m mrm_jax.predict "
        "--run ptbxl-subset-superdiagnostic ptbxl-example"
    )
    return cli.DONE


def _experiments() -> rich.table.Table:
    table = _table("experiment", "label set", "what it is")
    for name in shipped_experiments.names():
        table.add_row(name, _label_set(name), shipped_experiments.summary(name))
    return table


def _models() -> rich.table.Table:
    table = _table("model", "label set", "labels", "test macro AUC (95 % interval)")
    for name in pretrained.names():
        described = weights_file.read_metadata(pretrained.path_of(name))
        run = described["run"]
        auc, (low, high) = run["test"]["macro_auc"], run["test"]["interval"]
        numbers = f"{auc:.3f} ({low:.3f} to {high:.3f})"
        labels = str(len(described["labels"]))
        table.add_row(name, run["label_set"], labels, numbers)
    return table


def _table(*headings: str) -> rich.table.Table:
    table = tables.new()
    for heading in headings:
        table.add_column(heading, no_wrap=heading != "what it is")
    return table


def _label_set(name: str) -> str:
    if "/" in name:  # a sweep, which needs Optuna and has its experiment's label set
        return ""
    module = importlib.import_module(f"mrm_jax.experiments.{name}")
    return module.get_config().data.label_set
