"""The documents: their examples do what they say, and the site needs no network."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests import conftest

pytest.importorskip("mkdocs", reason="the extra [docs] is not installed")
pytest.importorskip("sybil", reason="the extra [dev] is not installed")

from tests import doc_examples  # noqa: E402  (needs sybil)

DOCS = conftest.ROOT / "docs"
START = DOCS / "start.md"
PAGES = [conftest.ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
