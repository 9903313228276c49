"""How to install the packages of an extra, with or without a clone."""

import importlib
import shlex
from importlib import metadata


def how_to_install(extra: str) -> str:
    """Returns the command that installs what an extra of setup.cfg contains.

    It names the packages one by one, because `mrm_jax` itself is on no index.
    """
    try:
        required = metadata.requires("mrm_jax") or []
    except metadata.PackageNotFoundError:  # a clone on the search path
        return f"pip install -c constraints.txt -e {shlex.quote(f'.[{extra}]')}"
    names = [
        requirement.partition(";")[0].strip()
        for requirement in required
        if f'extra == "{extra}"' in requirement
    ]
    return f"pip install {shlex.join(names)}"


def require(purpose: str, extra: str, *modules: str) -> None:
    """Imports modules of an extra.

    Args:
        purpose: what needs which packages, the start of the message.
        extra: name of the extra in setup.cfg.
        modules: names of the modules.

    Raises:
        ImportError: if one is not installed; says how to install it.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            raise ImportError(
                f"{purpose}, but {module} is not installed. Run: "
                f"{how_to_install(extra)}"
            ) from None
