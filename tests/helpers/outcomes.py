"""Counts of what happened under injected faults, printed by `make reliability`."""

import dataclasses
import os

# How much longer than in `make test` the tests of tests/reliability try.
EFFORT = int(os.environ.get("RELIABILITY_EFFORT", "1"))


@dataclasses.dataclass
class Outcome:
    """What became of the tries of one promise."""

    promise: str
    how: str
    tried: int = 0
    answered: int = 0  # as promised: the right result, or an error that names the cause
    wrong: int = 0  # another result, without a word
    lost: int = 0  # something that was stored before is gone

    def count(self, *, wrong: bool = False, lost: bool = False) -> None:
        """Counts one try."""
        self.tried += 1
        self.wrong += wrong
        self.lost += lost
        self.answered += not (wrong or lost)

    def check(self) -> None:
        """Fails the test if a try ended otherwise than promised."""
        assert self.tried and self.answered == self.tried, self


ALL: list[Outcome] = []


def start(promise: str, how: str) -> Outcome:
    """Returns a new outcome, which the table will list."""
    ALL.append(Outcome(promise, how))
    return ALL[-1]


def table() -> list[str]:
    """Returns the lines of a Markdown table of all outcomes."""
    head = ["Promise", "Test", "Tried", "As promised", "Wrong", "Lost"]
    rows = [
        [o.promise, o.how, *map(str, (o.tried, o.answered, o.wrong, o.lost))]
        for o in ALL
    ]
    aligned = ["---", "---", *["--:"] * 4]
    return [f"| {' | '.join(row)} |" for row in (head, aligned, *rows)]
