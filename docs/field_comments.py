"""Shows the comments beside the fields of records in the API reference (mkdocs.yml).

A record's fields say their shape and unit in a comment on their line, see TrainState.
"""

import io
import tokenize
from typing import Any

import griffe


class FieldComments(griffe.Extension):
    """Takes the comment of a class attribute's line for its docstring."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Is called for every attribute; changes those of classes."""
        if (
            attr.docstring
            or not attr.lineno
            or not attr.parent
            or not attr.parent.is_class
        ):
            return
        comment = _comment(attr.source)
        if comment:
            attr.docstring = griffe.Docstring(comment, lineno=attr.lineno, parent=attr)


def _comment(source: str) -> str:
    """Returns the last comment of a few lines of Python, without its sign."""
    tokens = tokenize.generate_tokens(io.StringIO(source.strip()).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return comments[-1].lstrip("# ") if comments else ""
