"""Settings for all tests: four CPU devices, strict shapes, a compilation cache."""

import atexit
import gc
import os
from importlib import metadata
from pathlib import Path

# Halves the time to compile; small shapes run no slower for it.
QUICK_TO_COMPILE = "--xla_backend_optimization_level=0"
if metadata.version("jaxlib").startswith("0.10."):
    # Halves it again; later versions have no other emitters.
    QUICK_TO_COMPILE += " --xla_cpu_use_fusion_emitters=false"
    # One part for LLVM instead of 32: an eighth less, as the workers use all cores.
    QUICK_TO_COMPILE += " --xla_cpu_parallel_codegen_split_count=1"

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + f" --xla_force_host_platform_device_count=4 {QUICK_TO_COMPILE}"
)
os.environ.setdefault("MPLBACKEND", "agg")
# Idle threads of OpenBLAS would spin on a core that the other worker needs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Source lines in traced programs are for profiles and take time to record.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")

# Tracing makes many objects and few cycles. Looking for these took 5 % of the time.
gc.set_threshold(200_000, 20, 100)

import jax  # noqa: E402  (XLA reads its flags when JAX is imported)
import pytest  # noqa: E402

pytest_plugins = [
    "tests.helpers.postgresql",
    "tests.helpers.same_pictures",
    "tests.helpers.tiny_network",
]

ROOT = Path(__file__).parents[1]

if "PYTEST_XDIST_WORKER" in os.environ:
    # JAX would free all programs and traces one by one, for seconds, when it is closed.
    atexit.register(os._exit, 0)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".cache" / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)

# Files that take minutes, the longest first.
LONGEST = (
    "test_live",
    "test_docs",
    "test_expected",
    "test_population",
    "test_distributed",
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves files alone that import PyTorch, for 2 s, if no such test is wanted."""
    if "not torch" not in config.option.markexpr or collection_path.suffix != ".py":
        return None
    return "\npytestmark = pytest.mark.torch\n" in collection_path.read_text() or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts long files first, so that no worker ends with one while others wait."""

    def rank(item: pytest.Item) -> tuple[int, bool]:
        name = item.path.stem
        place = LONGEST.index(name) if name in LONGEST else len(LONGEST)
        return place, item.get_closest_marker("slow") is None

    items.sort(key=rank)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    """Looks for cycles a last time. pytest would look ten times, 0.7 s each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_kept_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces every program of this process: tests replace functions."""
    monkeypatch.setattr("mrm_jax.runtime.kept_programs._can_be_kept", lambda: False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real records named by MRM_JAX_DATA; skips where there is none."""
    folder = os.environ.get("MRM_JAX_DATA")
    if not folder:
        pytest.skip("set MRM_JAX_DATA to a folder with ptbxl_subset, ptbxl_labels, ...")
    return Path(folder)
