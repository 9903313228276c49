"""Counts the kernels of a compiled program, and the bytes that they move.

The input is the text of an optimised XLA program. Every operation is one kernel that is
neither free (a constant, a view) nor inside a fusion or a reduction. Its bytes are
those of its results and its operands. Of an operand that a fusion only slices, the
slices count. Arithmetic is that of the convolutions, nearly all of it.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

BITS = {"pred": 8, "token": 0, "bf16": 16} | {
    f"{kind}{bits}": bits for kind in "suf" for bits in (4, 8, 16, 32, 64)
}
FREE = frozenset(
    "parameter get-tuple-element bitcast tuple constant while iota conditional "
    "call after-all partition-id replica-id optimization-barrier "
    "all-reduce-done all-gather-done copy-done async-done slice-done".split()
)
SLICES = frozenset({"slice", "dynamic-slice", "gather"})
HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) (?:\(.*)?\{$")
OPERATION = re.compile(
    r"^\s+(?:ROOT )?%?([\w.\-]+) = (\([^=]*?\)|\S+) ([\w\-]+)\((.*)$"
)
CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
CALLED = re.compile(r"(calls|to_apply|body)=%?([\w.\-]+)")
ORIGINS = ("forward", "backward", "losses", "the rest")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One line of a program."""

    name: str
    shape: str
    kind: str
    arguments: str
    attributes: str

    @property
    def operands(self) -> Sequence[str]:
        """The names of the operations that it takes."""
        return re.findall(r"%([\w.\-]+)", self.arguments)

    def attribute(self, pattern: str) -> str | None:
        """Returns the group of a pattern in the attributes, if it is there."""
        found = re.search(pattern, self.attributes)
        return found[1] if found else None


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel of a program."""

    kind: str  # such as "fusion", "reduction", "convolution"
    origin: str  # of ORIGINS
    moved: int  # bytes that are read and written
    in_loop: bool  # whether it runs in every step of a call
    flops: int = 0  # operations of a convolution of cuDNN, 0 for everything else


def count(text: str, network: str) -> list[Kernel]:
    """Returns the kernels of a program.

    Args:
        text: the optimised program.
        network: name of the network's class, which marks its operations.
    """
    parts = dict(_computations(text))
    inside, loops, callers = set(), set(), {}
    for caller, operations in parts.items():
        for operation in operations:
            for role, name in CALLED.findall(operation.attributes):
                if role == "body":
                    loops.add(name)
                elif operation.kind == "call":
                    callers[name] = caller
                else:
                    inside.add(name)

    def is_in_loop(name):
        """Returns whether a computation is the body of a loop, or called there."""
        while name in callers:
            name = callers[name]
        return name in loops

    return [
        Kernel(
            _kind(operation),
            _origin(operation, network),
            _moved(operation, operations, parts),
            in_loop=is_in_loop(name),
            flops=_flops(operation, operations),
        )
        for name, operations in parts.items()
        if name not in inside
        for operation in operations
        if operation.kind not in FREE
    ]


def by(kernels: Iterable[Kernel], field: str) -> dict[str, list[float]]:
    """Returns number and gigabytes of kernels by one of their fields, most first."""
    counts: collections.Counter[str] = collections.Counter()
    moved: collections.Counter[str] = collections.Counter()
    for kernel in kernels:
        counts[getattr(kernel, field)] += 1
        moved[getattr(kernel, field)] += kernel.moved
    return {name: [number, moved[name] / 1e9] for name, number in counts.most_common()}


def cycles(text: str) -> int:
    """Returns the cycles that a TPU's compiler expects its fusions to take.

    The body of a loop counts once. Copies between memories beside them are not counted.
    """
    return sum(map(int, CYCLES.findall(text)))


def num_bytes(shape: str) -> int:
    """Returns the bytes of an array or a tuple, such as "(f32[2,3]{1,0}, s8[])"."""
    total = 0
    for dtype, sizes in re.findall(r"(\w+)\[([\d,]*)\]", shape):
        bits = BITS.get(dtype, 8)
        for size in filter(None, sizes.split(",")):
            bits *= int(size)
        total += -(-bits // 8)
    return total


def _computations(text: str) -> Iterator[tuple[str, list[Operation]]]:
    """Yields name and operations of each computation of a program."""
    operations: list[Operation] = []
    for line in re.sub(r"/\*index=\d+\*/", "", text).splitlines():
        head = HEAD.match(line)
        if head and not line.startswith(" "):
            operations = []
            yield head[2], operations
        found = OPERATION.match(line)
        if found:
            name, shape, kind, rest = found.groups()
            arguments, _, attributes = rest.partition(")")
            operations.append(Operation(name, shape, kind, arguments, attributes))


def _kind(operation: Operation) -> str:
    if operation.kind == "fusion":
        kinds = ("reduce", "transpose", "copy")
        return next((f"fusion, {k}" for k in kinds if k in operation.name), "fusion")
    target = operation.attribute(r'custom_call_target="([^"]+)"')
    return target if target and operation.kind == "custom-call" else operation.kind


def _origin(operation: Operation, network: str) -> str:
    path = operation.attribute(r'op_name="([^"]+)"') or ""
    if f"jvp({network})" in path:
        return "backward" if "transpose(" in path else "forward"
    return "losses" if "jvp(" in path else "the rest"


def _moved(
    operation: Operation,
    siblings: Sequence[Operation],
    parts: Mapping[str, Sequence[Operation]],
) -> int:
    """Returns the bytes that a kernel reads and writes."""
    shapes = {sibling.name: sibling.shape for sibling in siblings}
    if operation.kind in SLICES:
        return 2 * num_bytes(operation.shape)
    total = num_bytes(operation.shape)
    called = operation.attribute(r"calls=%?([\w.\-]+)")
    body = parts.get(called or "", ()) if operation.kind == "fusion" else ()
    for number, operand in enumerate(operation.operands):
        whole = num_bytes(shapes.get(operand, ""))
        total += min(whole, _read(body, number, whole))
    return total


def _flops(operation: Operation, siblings: Sequence[Operation]) -> int:
    """Returns the operations of a convolution by cuDNN.

    Each number of its outputs, or of their gradient, takes a multiplication and an
    addition for every tap and every input channel of a group.
    """
    target = operation.attribute(r'custom_call_target="__cudnn\$(conv\w+)"')
    labels = operation.attribute(r"dim_labels=(\w+_\w+)->")
    if target is None or labels is None:
        return 0
    shapes = {sibling.name: sibling.shape for sibling in siblings}
    result = _sizes(operation.shape)
    first, second = (_sizes(shapes.get(name, "")) for name in operation.operands[:2])
    outputs, kernel = {
        "convBackwardInput": (first, second),
        "convBackwardFilter": (second, result),
    }.get(target, (result, second))
    channels_out = kernel[labels.split("_")[1].index("o")]
    return 2 * math.prod(outputs) * math.prod(kernel) // channels_out


def _sizes(shape: str) -> list[int]:
    """Returns the sizes of the first array of a shape."""
    found = re.search(r"\[([\d,]*)\]", shape)
    return [int(size) for size in found[1].split(",") if size] if found else []


def _read(body: Sequence[Operation], number: int, whole: int) -> int:
    """Returns the bytes that a fusion reads of its operand of a number."""
    names = {
        operation.name
        for operation in body
        if operation.kind == "parameter" and operation.arguments == str(number)
    }
    users = []
    for operation in body:  # operands come first
        if names.intersection(operation.operands):
            if operation.kind == "bitcast":
                names.add(operation.name)
            else:
                users.append(operation)
    if users and all(user.kind in SLICES for user in users):
        return sum(num_bytes(user.shape) for user in users)
    return whole
