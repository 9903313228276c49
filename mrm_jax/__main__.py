"""All commands behind one name: `mrm-jax`, or `python -m mrm_jax`."""

import importlib
import sys
from collections.abc import Sequence

from mrm_jax.runtime import cli
from mrm_jax.version import VERSION

COMMANDS = {
    "train": "train a network on prepared shards, and resume a run",
    "evaluate": "score a run on a split or on other data; compare runs; average seeds",
    "cross_validate": "train and test ten runs on different folds, and pool them",
    "predict": "apply a run to ECG files, with plots and explanations",
    "export": "write a run as ONNX, StableHLO, PyTorch or NumPy file",
    "convert": "read or write checkpoints of the PyTorch reference",
    "sweep": "search for the best hyperparameters, many runs at once",
}
LIST = "list"
HELP = """MRM-Net: multi-label classification of 12-lead ECGs.

Usage: mrm-jax COMMAND [FLAGS]

{commands}

`mrm-jax COMMAND --help` explains a command, `mrm-jax --version` prints the version.
Data are prepared with `python -m data_prep.table` for your own ECGs and a table of
labels, `python -m data_prep.ptbxl`, `python -m data_prep.cpsc2018` or, for synthetic
records, `python -m data_prep.synthetic`; each has --help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("--help", "-h", "help"):
        print(_help())
        return cli.DONE
    if words[0] == "--version":
        print(f"mrm_jax {VERSION}")
        return cli.DONE
    if words[0] == LIST:
        from mrm_jax import listing

        return listing.main(words[1:])
    if words[0] not in COMMANDS:
        names = ", ".join([*COMMANDS, LIST])
        print(
            f"error: there is no command {words[0]!r}; the commands are {names}",
            file=sys.stderr,
        )
        return cli.WRONG_INPUT
    # Imported when chosen: most commands need seconds to import JAX.
    return importlib.import_module(f"mrm_jax.{words[0]}").main(words[1:])


def _help() -> str:
    listed = COMMANDS | {
        LIST: "list the experiments and the trained models that come with mrm_jax"
    }
    lines = [f"  {name:<14} {text}" for name, text in listed.items()]
    return HELP.format(commands="\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
