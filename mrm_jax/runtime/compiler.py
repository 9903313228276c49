"""Sets up XLA for a command: the cache of compiled programs, and flags for TPUs."""

import importlib.util
import os
from pathlib import Path

import jax

from mrm_jax.runtime import kept_programs

# By default a fusion may use 16 MiB of a TPU v5e's fast memory, and its code is written
# out for windows of that size; docs/accelerators.md has the figures.
TPU_FLAGS = {
    "xla_tpu_scoped_vmem_limit_kib": "6144",
    "xla_tpu_enable_deduplicated_calls": "true",
}


def set_up() -> None:
    """Sets up the cache and the flags; to be called before JAX starts its devices.

    Environment variables of the user override both: JAX_COMPILATION_CACHE_DIR,
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS and LIBTPU_INIT_ARGS.
    """
    _use_cache()
    if importlib.util.find_spec("libtpu") is not None:
        os.environ["LIBTPU_INIT_ARGS"] = tpu_flags(os.environ.get("LIBTPU_INIT_ARGS"))


def tpu_flags(given: str | None) -> str:
    """Returns TPU_FLAGS, as far as none of them is given, and the given flags.

    Args:
        given: flags of libtpu, separated by spaces.
    """
    given = given or ""
    more = [f"--{name}={value}" for name, value in TPU_FLAGS.items()]
    missing = [flag for flag in more if flag.partition("=")[0] not in given]
    return " ".join([*missing, given]).strip()


def _use_cache() -> None:
    """Keeps compiled programs on disk, so that the next start takes seconds."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(home / "mrm_jax" / "xla"))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
    settings = jax.config.values
    folder = settings["jax_compilation_cache_dir"]
    is_on = settings["jax_enable_compilation_cache"] and folder and "://" not in folder
    kept_programs.keep_in(Path(folder) / "programs" if is_on else None)
