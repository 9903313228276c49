"""The flags and the output that all commands of data_prep share."""

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

from data_prep import atomic_folder, build, dask_cluster, readers, shard_writer
from mrm_jax.data import manifest as manifests
from mrm_jax.runtime import cli, console


class _Parser(argparse.ArgumentParser):
    """A parser that accepts the old spelling of --out."""

    def parse_known_args(self, args=None, namespace=None):
        """Parses the flags after renaming old ones."""
        words = sys.argv[1:] if args is None else args
        renamed = cli.rename_flags(words, {"--out_dir": "--out"})
        return super().parse_known_args(renamed, namespace)


def parser(doc: str | None, raw_dir: bool = True) -> argparse.ArgumentParser:
    """Returns a parser with the common flags.

    Args:
        doc: docstring of the command.
        raw_dir: whether the flag --raw_dir is one of them.
    """
    summary, _, rest = (doc or "").partition("\n\n")
    flags = _Parser(
        prog=cli.program(),
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cli.add_version(flags)
    if raw_dir:
        flags.add_argument(
            "--raw_dir", type=Path, required=True, help="folder of the raw records"
        )
    flags.add_argument(
        "--out",
        dest="out_dir",
        metavar="SHARDS",
        type=Path,
        required=True,
        help="folder of shards to create",
    )
    flags.add_argument(
        "--strict",
        action="store_true",
        help="stop at the first record that cannot be prepared (default: skip it and "
        "list it with the reason)",
    )
    _add_workers(flags.add_mutually_exclusive_group())
    return flags


def _add_workers(workers: argparse._MutuallyExclusiveGroup) -> None:
    workers.add_argument(
        "--jobs",
        type=_number_of_jobs,
        default=-1,
        metavar="N",
        help="largest number of processes that read records; fewer are used for few "
        "records (default: %(default)s, one per core; not with --dask)",
    )
    workers.add_argument(
        "--dask",
        metavar="SCHEDULER",
        help="read the records on a running Dask cluster, given by an address like "
        "tcp://host:8786 or a scheduler file. Its machines need the same version of "
        "this package and the raw records under the same path (default: this machine "
        "alone; not with --jobs)",
    )


def _number_of_jobs(text: str) -> int:
    """Returns a number of processes as joblib takes it: -1 is one per core."""
    with contextlib.suppress(ValueError):
        if int(text):
            return int(text)
    raise argparse.ArgumentTypeError(
        f"expected a number of processes, or -1 for one per core, got {text}"
    )


def run(
    make_index: Callable[[dask_cluster.Cluster | None], build.Index],
    reading: readers.Reading,
    args: argparse.Namespace,
) -> int:
    """Builds shards, prints a summary, and returns the exit status.

    Args:
        make_index: function that reads the data set's tables; may use the cluster.
        reading: how each record is read and converted.
        args: out_dir, strict, jobs and dask, as parsed by `parser`.
    """

    def prepare() -> None:
        """Reads the tables and builds, on the cluster if there is one."""
        joined: contextlib.AbstractContextManager[dask_cluster.Cluster | None]
        joined = contextlib.nullcontext()
        if args.dask:
            joined = dask_cluster.connect(args.dask)
        with joined as cluster:
            _build(make_index(cluster), reading, args, cluster)

    return status(prepare, args.out_dir)


def status(action: Callable[[], None], out_dir: Path) -> int:
    """Calls a function and returns the exit status; prints why it stopped early.

    Args:
        action: function that prepares shards.
        out_dir: folder that it writes last of all.
    """
    try:
        action()
        return 0
    except (OSError, ValueError) as error:
        message, code = f"error: {cli.error_text(error)}", 1
    except KeyboardInterrupt:
        message, code = f"Interrupted. {out_dir} was not written.", cli.INTERRUPTED
    left_over = atomic_folder.left_over(out_dir)
    if left_over is not None:
        message = message if message.endswith(".") else f"{message}."
        message += (
            f" The shards that are finished are kept in {left_over}: run the same "
            "command again to go on, or delete that folder to start over."
        )
    elif code == cli.INTERRUPTED:
        message += " Run the same command again to start over."
    cli.say_error(message)
    return code


def _build(
    index: build.Index,
    reading: readers.Reading,
    args: argparse.Namespace,
    cluster: dask_cluster.Cluster | None,
) -> None:
    pool = cluster or readers.processes(len(index.paths), args.jobs)
    console.say(f"{_plan(index, reading)}, {pool} -> {args.out_dir}")
    done = build.finished(index, reading, args.out_dir)
    if done and args.strict and done.num_skipped:
        raise ValueError(
            f"{args.out_dir} holds a finished build that skipped {done.num_skipped} "
            "records. Delete it to build with --strict."
        )
    manifest = done or build.build(
        index,
        reading,
        args.out_dir,
        strict=args.strict,
        jobs=args.jobs,
        cluster=cluster,
    )
    _print_summary(manifest, args.out_dir)
    state = "already finished, nothing to do" if done else "written"
    print(f"{state}: {args.out_dir}")


def _plan(index: build.Index, reading: readers.Reading) -> str:
    sets = len(index.tables)
    return (
        f"{index.data_set} {index.version}: "
        f"{len(index.names) + len(index.skipped):,} records at "
        f"{reading.sampling_rate} Hz, {sets} label set{'s'[: sets != 1]}"
    )


def _print_summary(manifest: manifests.Manifest, out_dir: Path) -> None:
    splits = list(manifests.SPLIT_FOLDS)
    print(f"{'label set':16}{'labels':>8}" + "".join(f"{s:>8}" for s in splits))
    for name, label_set in manifest.label_sets.items():
        counts = "".join(f"{label_set.records[split]:>8,}" for split in splits)
        print(f"{name:16}{len(label_set.labels):>8}{counts}")
    print(f"kept {manifest.num_records:,} records, skipped {manifest.num_skipped:,}")
    for reason, count in build.count_reasons(out_dir).items():
        console.say(f"  {count:,} {reason}")
    if manifest.num_skipped:
        print(f"  all skipped records and reasons: {out_dir / shard_writer.SKIPPED}")
        print(f"  to try them again, for example after a download, delete {out_dir}")
    notes = build.count_notes(out_dir)
    if notes:
        print(f"kept with doubts, see {out_dir / shard_writer.NOTES}:")
    for note, count in notes.items():
        console.say(f"  {count:,} {note}")
