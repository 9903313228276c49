"""Reads JSON files, checked for their shape and their checksum.

msgspec does the checking: a small library without dependencies, which reads dataclasses
and typed dicts and says where in a file a value is wrong.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

CHECKSUM = "checksum"
_SHA256 = re.compile("[0-9a-f]{64}")
_T = TypeVar("_T")


def load(path: Path, advice: str) -> Any:
    """Returns the content of a JSON file.

    Args:
        path: existing file.
        advice: what to do about a damaged file, as a sentence.

    Raises:
        ValueError: if the file is not JSON in UTF-8.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # neither JSON nor text
        raise damaged(path, f"not JSON: {error}", advice) from None


def convert(value: Any, shape: type[_T], path: Path, advice: str) -> _T:
    """Returns the content of a file as a value of the given type.

    Args:
        value: content from `load`.
        shape: dataclass, typed dict or other type that msgspec knows. Whole numbers are
            accepted as floats, and lists as tuples.
        path: the file, for the message.
        advice: as in `load`.

    Raises:
        ValueError: if a field is missing or has another type; says where.
    """
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise damaged(path, str(error), advice) from None


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns content with a checksum of itself, to be written as JSON."""
    return {**content, CHECKSUM: _hash(content)}


def unsealed(value: Any, path: Path, advice: str) -> dict[str, Any]:
    """Returns content without its checksum, which is verified if there is one.

    Args:
        value: content from `load`.
        path: the file, for the message.
        advice: as in `load`.

    Raises:
        ValueError: if the content is not an object or differs from its checksum.
    """
    content = dict(convert(value, dict[str, Any], path, advice))
    expected = content.pop(CHECKSUM, None)
    others = [v for v in content.values() if isinstance(v, str)]
    if expected is None and not any(map(_SHA256.fullmatch, others)):
        return content  # of version 0.1.0
    if expected != _hash(content):
        raise damaged(path, "it differs from its checksum", advice)
    return content


def damaged(path: Path, why: str, advice: str) -> ValueError:
    """Returns the error of a damaged file.

    Args:
        path: the file.
        why: what is wrong with it.
        advice: as in `load`.
    """
    return ValueError(f"{path} is damaged or was changed ({why}). {advice}")


def _hash(content: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(content))  # keys become text, tuples lists
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
