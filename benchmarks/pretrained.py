"""Trains the models that the package contains, and writes their files and cards.

Each model gets a folder mrm_jax/pretrained/NAME with its weights in float16, its report
and its model card. The table of docs/models.md is written anew.

The command may be stopped at any time. Run it again to resume. A model whose run is
finished is only exported.

Example: python -m benchmarks.pretrained --data shards/ptbxl_subset
With the whole of PTB-XL: --data shards/ptbxl --prefix ptbxl --epochs 40
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import tables
from mrm_jax.data import shards
from mrm_jax.interop import exporter, verify
from mrm_jax.reports import model_card, run_report
from mrm_jax.runs import pretrained, trained_run, weights_file
from mrm_jax.training import train_state

LABEL_SETS = "superdiagnostic all rhythm diagnostic subdiagnostic form".split()
EPOCHS = 16
PAGE = tables.ROOT / "docs" / "models.md"
TABLE = "models"
HEADINGS = (
    "name",
    "labels",
    "records (train / val / test)",
    "test macro AUC (95 % interval)",
    "epoch",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = _parse(argv)
    for label_set in args.label_sets:
        name = f"{args.prefix}-{label_set}"
        status = _train(name, label_set, args.data, args.epochs)
        if status:
            print(f"{name}: training ended with status {status}", file=sys.stderr)
            return status
        _ship(name, Path("runs") / name)
    page = tables.filled(PAGE.read_text(), {TABLE: table()})
    PAGE.write_text(page)
    return 0


def _train(name: str, label_set: str, data: str, epochs: int) -> int:
    """Trains a run, or resumes it, in runs/NAME; returns the exit status."""
    command = [
        *(sys.executable, "-m", "mrm_jax.train", "--config", f"ptbxl_{label_set}"),
        f"--config.data.shards={data}",
        f"--config.name={name}",
        f"--config.num_epochs={epochs}",
    ]
    return subprocess.run(command).returncode


def _ship(name: str, workdir: Path) -> None:
    """Writes the folder of a model from its finished run."""
    run = trained_run.read(workdir)
    data = shards.load(run.metadata["config"]["data"]["shards"])
    folder = pretrained.FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / pretrained.WEIGHTS
    records = verify.of_shards(data)
    result = exporter.export(run, "npz", path, records, weights_file.FLOAT16)
    shutil.copy2(workdir / run_report.JSON_FILE, folder)
    report = run_report.read(folder)
    count = train_state.num_parameters(run.variables["params"])
    (folder / model_card.FILE).write_text(model_card.render(name, report, count))
    print(
        f"{name}: {result.num_bytes / 1e6:.2f} MB; scores of {records.source} differ "
        f"from the run's by at most {result.difference:.1e}"
    )


def table() -> str:
    """Returns the table of all models in the package, in Markdown."""
    rows = [HEADINGS, ("---",) * len(HEADINGS)]
    rows += [_row(name) for name in pretrained.names()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(name: str) -> tuple[str, ...]:
    report = run_report.read(pretrained.FOLDER / name)
    facts, auc = report["facts"], report["test"]["mean"]["macro_auc"]
    low, high = report["intervals"]["heads"]["mean"]["macro_auc"]
    records = " / ".join(
        f"{facts['records'][split]:,}" for split in ("train", "val", "test")
    )
    return (
        f"`{name}`",
        str(report["num_labels"]),
        records,
        f"{auc:.3f} ({low:.3f} to {high:.3f})",
        f"{facts['epoch']} of {facts['epochs_trained']}",
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", default="shards/ptbxl_subset", help="shards (default: %(default)s)")
    help_ = "beginning of the models' names (default: %(default)s)"
    add("--prefix", default="ptbxl-subset", help=help_)
    add("--epochs", type=int, default=EPOCHS, help="(default: %(default)s)")
    help_ = "label sets (default: %(default)s)"
    add("--label_sets", nargs="+", choices=LABEL_SETS, default=LABEL_SETS, help=help_)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
