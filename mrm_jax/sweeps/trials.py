"""Which settings a study holds, read from its trials alone.

A place is one setting of the sweep. Its first trial makes it; where a trial was lost
with its worker, another trial of the same place follows. Numbers of trials are unique
and never change, and a trial is made together with its attributes, so all workers read
the same places, and no locks are needed: of two trials that would be the same, the one
with the lower number is it, and the other is never trained.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

# Attributes of trials.
PROGRAM = "program"  # index into the space's programs
RETRY_OF = "retry_of"  # number of the lost trial that this one follows
CLAIMS = "claims"  # epochs that were known at each claim of the place, in order
TAKER = "taker"  # name of a worker that tried to take it, maybe too late
OWNER = "owner"  # name of the worker that did, and which process of it
DIVERGED = "diverged"  # the epoch that was not finite

# A setting whose workers die so often without a new epoch is what kills them.
GIVE_UP_AFTER = 3
ENDED = ("complete", "pruned", "diverged", "given up")


@dataclasses.dataclass(frozen=True)
class Place:
    """One setting of the sweep, and its trials."""

    program: int
    rank: int  # among the places of its program
    chain: tuple[FrozenTrial, ...]  # each follows the lost one before it

    @property
    def trial(self) -> FrozenTrial:
        """The newest trial, which alone can count."""
        return self.chain[-1]

    @property
    def reported(self) -> dict[int, float]:
        """The metric after each epoch."""
        return {
            epoch: value
            for trial in self.chain
            for epoch, value in sorted(trial.intermediate_values.items())
        }

    @property
    def epoch(self) -> int:
        """The last epoch that was reported, 0 where none was."""
        return max(self.reported, default=0)

    @property
    def exhausted(self) -> bool:
        """Whether it was claimed too often without a new epoch."""
        claims = self.trial.user_attrs.get(CLAIMS, [])
        return claims[-GIVE_UP_AFTER:] == [self.epoch] * GIVE_UP_AFTER

    @property
    def state(self) -> str:
        """Waiting, running, lost or one of ENDED."""
        match self.trial.state:
            case TrialState.COMPLETE:
                return "complete"
            case TrialState.PRUNED:
                return "diverged" if DIVERGED in self.trial.user_attrs else "pruned"
            case TrialState.FAIL:
                return "given up" if self.exhausted else "lost"
        return "running" if self.trial.state == TrialState.RUNNING else "waiting"


@dataclasses.dataclass(frozen=True)
class Row:
    """One setting, as the report lists it."""

    number: int  # of its newest trial, which names the folder
    state: str  # waiting, running, lost, complete, pruned, diverged or given up
    value: float | None  # told at the end, or the last finite one reported
    values: Mapping[str, Any]  # of the space, by name; empty before the first claim
    program: int
    epochs: int  # that were reported
    worker: str | None  # that trained it last
    seconds: float | None  # from its claim to its end
    reported: Mapping[int, float]  # the metric after each epoch


def shares(total: int, num_programs: int) -> list[int]:
    """Returns how many settings each program gets: equally many, the first ones more.

    No share becomes smaller where the total becomes larger.
    """
    each, more = divmod(total, num_programs)
    return [each + (program < more) for program in range(num_programs)]


def read(trials: Sequence[FrozenTrial], share: Sequence[int]) -> list[Place]:
    """Returns the places of a study, in the order of their first trials.

    Args:
        trials: all of the study, by number.
        share: places of each program; what was made beyond it is left out.
    """
    followers: dict[int, FrozenTrial] = {}
    for trial in trials:
        if RETRY_OF in trial.user_attrs:
            followers.setdefault(trial.user_attrs[RETRY_OF], trial)
    places: list[Place] = []
    ranks = [0] * len(share)
    for trial in trials:
        program = trial.user_attrs.get(PROGRAM)
        if program is None or RETRY_OF in trial.user_attrs:
            continue
        if ranks[program] < share[program]:
            places.append(Place(program, ranks[program], _chain(trial, followers)))
            ranks[program] += 1
    return places


def row(place: Place) -> Row:
    """Returns a place as the report lists it."""
    trial, reported = place.trial, place.reported
    finite = [value for value in reported.values() if math.isfinite(value)]
    last = finite[-1] if finite else None
    values = {k: v for each in place.chain for k, v in each.params.items()}
    return Row(
        number=trial.number,
        state=place.state,
        value=last if trial.value is None else trial.value,
        values=values,
        program=place.program,
        epochs=place.epoch,
        worker=worker(trial),
        seconds=None if trial.duration is None else trial.duration.total_seconds(),
        reported=reported,
    )


def worker(trial: FrozenTrial) -> str | None:
    """Returns the name of the worker that trains or trained a trial."""
    if OWNER in trial.user_attrs:
        return trial.user_attrs[OWNER][0]
    # It died when it had just taken the trial.
    return trial.user_attrs.get(TAKER)


def _chain(
    trial: FrozenTrial, followers: Mapping[int, FrozenTrial]
) -> tuple[FrozenTrial, ...]:
    chain = [trial]
    while chain[-1].number in followers:
        chain.append(followers[chain[-1].number])
    return tuple(chain)
