"""Lists the experiments that the package contains, and their label sets."""

import argparse
import importlib
from collections.abc import Sequence

from mrm_jax.reports import tables
from mrm_jax.runtime import cli, console
from mrm_jax.training import shipped_experiments


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table and returns the exit status."""
    flags = argparse.ArgumentParser(prog="mrm-jax list", description=__doc__)
    cli.add_version(flags)
    flags.parse_args(argv)
    table = tables.new()
    for heading in ("experiment", "label set", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for name in shipped_experiments.names():
        table.add_row(name, _label_set(name), shipped_experiments.summary(name))
    tables.show(table, console.console())
    console.say(
        "Use a name with --config, for example: mrm-jax train --config cpsc2018"
    )
    return cli.DONE


def _label_set(name: str) -> str:
    if "/" in name:  # a sweep, which needs Optuna and has its experiment's label set
        return ""
    module = importlib.import_module(f"mrm_jax.experiments.{name}")
    return module.get_config().data.label_set
