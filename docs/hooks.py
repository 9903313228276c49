"""Brings what the pages refer to outside of docs/ into the site (mkdocs.yml)."""

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/results/*.png",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files of the repository that pages show or link to."""
    root = Path(config.config_file_path).parent
    for path in sorted(path for pattern in OUTSIDE for path in root.glob(pattern)):
        uri = path.relative_to(root).as_posix()
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Leads links out of docs/, and into it, to where `on_files` put the files."""
    if "/" in page.file.src_uri:
        return markdown
    return markdown.replace("](../", "](").replace("](docs/", "](")
