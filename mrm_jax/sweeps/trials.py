"""The trials of a study and their states, derived from what Optuna stores.

A *trial* is one point of the sweep. An *attempt* is one training of it, which Optuna
stores as a trial of its own. A trial's first attempt creates it. If an attempt is lost
with its worker, another attempt of the same trial follows.

No locks are needed. Optuna's numbers are unique and never change, and an attempt is
created together with its attributes, so all workers derive the same trials. If two
attempts follow the same lost one, the attempt with the lower number is used and the
other is never trained.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

# User attributes of attempts. Existing studies hold these keys: do not rename them.
PROGRAM = "program"  # index into the space's programs
RETRY_OF = "retry_of"  # number of the lost attempt that this one follows
LEASE_EPOCHS = "claims"  # the last known epoch at each lease of the trial, in order
TAKER = "taker"  # name of a worker that tried to lease it, perhaps too late
OWNER = "owner"  # name of the worker that holds the lease, and the id of its process
DIVERGED = "diverged"  # the epoch with a loss or metric that was not finite

# A trial is failed after this many leases without a new epoch: it probably crashes
# its workers.
MAX_FAILED_ATTEMPTS = 3
ENDED = ("complete", "pruned", "diverged", "failed")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One point of the sweep and its attempts."""

    program: int
    rank: int  # index among the trials of its program
    attempts: tuple[FrozenTrial, ...]  # each follows the lost one before it

    @property
    def attempt(self) -> FrozenTrial:
        """The newest attempt, the only one that can count."""
        return self.attempts[-1]

    @property
    def reported(self) -> dict[int, float]:
        """The metric after each epoch."""
        return {
            epoch: value
            for attempt in self.attempts
            for epoch, value in sorted(attempt.intermediate_values.items())
        }

    @property
    def epoch(self) -> int:
        """The last epoch that was reported, 0 if there is none."""
        return max(self.reported, default=0)

    @property
    def exhausted(self) -> bool:
        """Whether it was leased MAX_FAILED_ATTEMPTS times without a new epoch."""
        epochs = self.attempt.user_attrs.get(LEASE_EPOCHS, [])
        return epochs[-MAX_FAILED_ATTEMPTS:] == [self.epoch] * MAX_FAILED_ATTEMPTS

    @property
    def state(self) -> str:
        """One of "waiting", "running" and "lost", or of ENDED."""
        match self.attempt.state:
            case TrialState.COMPLETE:
                return "complete"
            case TrialState.PRUNED:
                return "diverged" if DIVERGED in self.attempt.user_attrs else "pruned"
            case TrialState.FAIL:
                return "failed" if self.exhausted else "lost"
        return "running" if self.attempt.state == TrialState.RUNNING else "waiting"


@dataclasses.dataclass(frozen=True)
class Row:
    """One trial as the report lists it."""

    number: int  # number of its newest attempt, which names the folder
    state: str  # waiting, running, lost, complete, pruned, diverged or failed
    value: float | None  # the final value, or the last finite metric reported
    values: Mapping[str, Any]  # by name; empty before the first lease
    program: int
    epochs: int  # number of epochs reported
    worker: str | None  # worker that trained it last
    seconds: float | None  # seconds from its lease to its end
    reported: Mapping[int, float]  # the metric after each epoch


def shares(total: int, num_programs: int) -> list[int]:
    """Returns how many trials each program gets, as equally as possible.

    The first programs get the remainder. A larger total makes no share smaller.
    """
    each, more = divmod(total, num_programs)
    return [each + (program < more) for program in range(num_programs)]


def read(attempts: Sequence[FrozenTrial], share: Sequence[int]) -> list[Trial]:
    """Returns the trials of a study, in the order of their first attempts.

    Args:
        attempts: all attempts of the study, by number.
        share: number of trials of each program; any beyond it are ignored.
    """
    followers: dict[int, FrozenTrial] = {}
    for attempt in attempts:
        if RETRY_OF in attempt.user_attrs:
            followers.setdefault(attempt.user_attrs[RETRY_OF], attempt)
    trials: list[Trial] = []
    ranks = [0] * len(share)
    for attempt in attempts:
        program = attempt.user_attrs.get(PROGRAM)
        if program is None or RETRY_OF in attempt.user_attrs:
            continue
        if ranks[program] < share[program]:
            trials.append(Trial(program, ranks[program], _chain(attempt, followers)))
            ranks[program] += 1
    return trials


def _chain(
    attempt: FrozenTrial, followers: Mapping[int, FrozenTrial]
) -> tuple[FrozenTrial, ...]:
    """Returns an attempt and its successors."""
    attempts = [attempt]
    while attempts[-1].number in followers:
        attempts.append(followers[attempts[-1].number])
    return tuple(attempts)


def row(trial: Trial) -> Row:
    """Returns a trial as the report lists it."""
    attempt, reported = trial.attempt, trial.reported
    finite = [value for value in reported.values() if math.isfinite(value)]
    last = finite[-1] if finite else None
    values = {k: v for each in trial.attempts for k, v in each.params.items()}
    return Row(
        number=attempt.number,
        state=trial.state,
        value=last if attempt.value is None else attempt.value,
        values=values,
        program=trial.program,
        epochs=trial.epoch,
        worker=worker(attempt),
        seconds=None if attempt.duration is None else attempt.duration.total_seconds(),
        reported=reported,
    )


def worker(attempt: FrozenTrial) -> str | None:
    """Returns the name of the worker that trains or trained an attempt."""
    if OWNER in attempt.user_attrs:
        return attempt.user_attrs[OWNER][0]
    # The worker died just after it had leased the trial.
    return attempt.user_attrs.get(TAKER)
