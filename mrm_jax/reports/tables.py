"""The common style of result tables in the terminal."""

import rich.box
import rich.table
import rich.text


def new(title: str, caption: str = "") -> rich.table.Table:
    """Returns an empty table; names in its title and caption are never markup."""
    return rich.table.Table(
        title=rich.text.Text(title, style="bold"),
        caption=rich.text.Text(caption) if caption else None,
        title_justify="left",
        caption_justify="left",
        box=rich.box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
