"""Finds a network by its name: one of ours, or a class of the user's own.

Every network is a linen module with the attributes and the call of `Network`. Those
that return `outputs.Outputs` name their branches in the class constant BRANCHES. Those
whose parameters belong to signals of one length have the property `bound_samples`.
"""

import dataclasses
import functools
import hashlib
import importlib
import importlib.util
import sys
import traceback
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import msgspec

MRM_NET = "mrm_net"
SHIPPED = {
    MRM_NET: "mrm_jax.models.mrm_net.network:MRMNet",
    "resnet1d_wang": "mrm_jax.models.resnet1d_wang:ResNet1dWang",
    "xresnet1d101": "mrm_jax.models.xresnet1d:XResNet1d101",
    "inception1d": "mrm_jax.models.inception1d:Inception1d",
    "s4": "mrm_jax.models.s4:S4",
}
SINGLE = ("single",)
ATTRIBUTES = ("num_labels", "num_samples", "axis_name")  # of every network


@runtime_checkable
class Network(Protocol):
    """What training, scoring and export need of a network besides its call.

    `network(signal, *, train, mask, dropout_rate)` returns `outputs.SingleOutput`, or
    `outputs.Outputs` if it has two branches; see `mrm_net.network.MRMNet`.
    """

    num_labels: int
    num_samples: int
    axis_name: str | None

    def __hash__(self) -> int:
        """Returns a hash of the attributes: programs are kept by network."""

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the variables, as linen modules do."""

    def apply(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the outputs, as linen modules do."""

    def clone(self, **updates: Any) -> Any:
        """Returns the network with other attributes, as linen modules do."""


def is_shipped(name: str) -> bool:
    """Returns whether a network is part of the package, so its code is known."""
    return name in SHIPPED


def find(name: str) -> type[nn.Module]:
    """Returns the class of a network.

    Args:
        name: a name of SHIPPED, "FILE.py:CLASS" or "MODULE:CLASS".

    A class of the user's own is imported, which runs the code of its file.

    Raises:
        ValueError: if there is no such network; lists those of the package.
    """
    place, colon, class_name = SHIPPED.get(name, name).rpartition(":")
    if not colon:
        raise ValueError(
            f"model.name: expected one of {', '.join(SHIPPED)}, or FILE.py:CLASS or "
            f"MODULE:CLASS for a network of your own, got {name!r}"
        )
    found = getattr(_module(place), class_name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(f"model.name: {place} has no linen module {class_name!r}")
    return found


def build(name: str, options: Mapping[str, Any], **given: Any) -> Network:
    """Returns a network.

    Args:
        name: as in `find`.
        options: arguments of its class, by name; lists become tuples.
        given: further arguments, which are left out if the class has none of the name.

    Raises:
        ValueError: if there is no such network, its class lacks an attribute of
            `Network`, an option is unknown, missing or among the given arguments, or
            the value of an option is invalid.
    """
    found: Any = find(name)
    fields = _fields(found, name)
    unknown = sorted(set(options) - set(fields))
    if unknown:
        raise ValueError(
            f"model.options: {name} has no {', '.join(unknown)}; it has "
            f"{', '.join(sorted(set(fields) - set(given)))}"
        )
    both = sorted(set(options) & set(given))
    if both:
        raise ValueError(
            f"model.options: {', '.join(both)} is no option, as the data, the devices "
            "or config.model have its value. Leave it out."
        )
    known = {n: value for n, value in given.items() if n in fields}
    hashable = {n: tuple(v) if isinstance(v, list) else v for n, v in options.items()}
    for option, value in hashable.items():
        _check_type(found, option, value)
    arguments = known | hashable
    missing = [n for n, required in fields.items() if required and n not in arguments]
    if missing:
        raise ValueError(
            f"model.options: {name} needs {', '.join(missing)}. Set "
            f"config.model.options.{missing[0]}, or give the attribute a default."
        )
    return found(**arguments)


def _fields(network: Any, name: str) -> dict[str, bool]:
    """Returns the attributes that can be set, and whether they need a value.

    Raises:
        ValueError: if the class lacks one of `Network`.
    """
    found = {
        field.name: field.default is field.default_factory is dataclasses.MISSING
        for field in dataclasses.fields(network)
        if field.init and field.name not in ("parent", "name")
    }
    lacking = [attribute for attribute in ATTRIBUTES if attribute not in found]
    if lacking:
        raise ValueError(
            f"model.name: {name} has no attribute {', '.join(lacking)}. A network "
            f"needs the attributes {', '.join(ATTRIBUTES)}, each with its type."
        )
    return found


def _check_type(network: Any, option: str, value: Any) -> None:
    """Checks a value against the annotation of its attribute.

    Annotations that cannot be evaluated or checked admit any value.

    Raises:
        ValueError: if the value has another type.
    """
    try:
        expected = typing.get_type_hints(network)[option]
        msgspec.convert(value, expected)
    except msgspec.ValidationError:
        default = getattr(network, option, None)
        example = "" if default is None else f", such as {default!r}"
        is_plain = typing.get_origin(expected) is None
        kind = getattr(expected, "__name__", expected) if is_plain else expected
        raise ValueError(
            f"model.options.{option}: expected {kind}{example}, got {value!r}"
        ) from None
    except (NameError, AttributeError, TypeError):
        return


def branches(network: Any) -> tuple[str, ...]:
    """Returns the names of the branches of a network or its class, in order."""
    return getattr(network, "BRANCHES", SINGLE)


def bound_samples(network: Any) -> int | None:
    """Returns the number of time points to which a network's parameters belong.

    None stands for parameters that mean the same at any length.
    """
    return getattr(network, "bound_samples", None)


def _module(place: str) -> Any:
    if place.endswith(".py"):
        return _of_file(str(Path(place).resolve()))
    try:
        return importlib.import_module(place)
    except Exception as error:
        raise _import_error(place, error) from error


def _import_error(place: str, error: Exception) -> ValueError:
    """Returns an error that the code of a network raised, in one line."""
    lines = [
        f.lineno
        for f in traceback.extract_tb(error.__traceback__)
        if f.filename == place
    ]
    message = str(error)
    if isinstance(error, SyntaxError):
        message = error.msg
        if error.filename == place:
            lines.append(error.lineno)
    where = f", line {lines[-1]}" if lines and lines[-1] else ""
    kind = type(error).__name__
    return ValueError(f"model.name: cannot import {place}{where} ({kind}: {message})")


@functools.cache
def _of_file(path: str) -> Any:
    """Returns the module of a file, once: programs are compiled for each class."""
    if not Path(path).is_file():
        raise ValueError(
            f"model.name: {path} does not exist. The run needs the file of its network."
        )
    name = f"mrm_jax_network_{hashlib.sha256(path.encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"model.name: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look up postponed annotations
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception):
            raise _import_error(path, error) from error
        raise
    return module
