"""Faults that tests inject: flipped bits in files."""

import random
import shutil
from pathlib import Path


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flip_bit(folder: Path, rng: random.Random) -> tuple[Path, int]:
    """Flips one bit of one file; each file is hit as often, whatever its size."""
    path = rng.choice([path for path in files_of(folder) if path.stat().st_size])
    content = bytearray(path.read_bytes())
    bit = rng.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))
    return path.relative_to(folder), bit


def damaged_copies(folder: Path, scratch: Path, tries: int, seed: int = 0):
    """Yields copies of a folder, each with one other flipped bit, and that place."""
    rng = random.Random(seed)
    for number in range(tries):
        copy = scratch / str(number)
        shutil.copytree(folder, copy)
        yield copy, flip_bit(copy, rng)
        shutil.rmtree(copy)
