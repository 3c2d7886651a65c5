"""The compiler options of all kernels, and a disk cache that is invalidated by every relevant change.

Numba's own cache looks only at the file of the function: it ignores jit options, and helpers in other files. Here the
stamp of a cached kernel covers the options, its file, and all kernel files that this one imports, directly or through others:
any edit to these recompiles it, and nothing else does.
Kernels have explicit signatures: they are compiled, or loaded from the cache, when their module is imported, never while a
stage is being timed, and an array of the wrong type is an error instead of a second specialisation.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import types
from numba.core import caching

# `nnan` and `ninf` are deliberately absent: they would let the compiler remove checks for NaN and infinity.
FAST = frozenset({"reassoc", "contract", "arcp", "nsz", "afn"})
SETTINGS: Any = numba.config
IMPORT = re.compile(rb"^from cooc_engine\._kernels\.(\w+) import ", re.MULTILINE)  # a test allows no other form
RANGE = types.UniTuple(types.int64, 2)  # begin, end
COMMON = {"nogil": True, "error_model": "numpy", "_nrt": False}


def array(dtype: Any, ndim: int = 1) -> types.Array:
    """Return the type of a C-contiguous array that a kernel only reads (writable arrays are accepted too)."""
    return types.Array(dtype, ndim, "C", readonly=True)


def out(dtype: Any, ndim: int = 1) -> types.Array:
    """Return the type of a C-contiguous array that a kernel writes."""
    return types.Array(dtype, ndim, "C")


def named(cls: Any, **kinds: Any) -> types.BaseTuple:
    """Return the Numba type of a `NamedTuple` class, from the types of its fields.

    Numba does not convert the elements of a tuple: arrays must be declared as `out` and be writable even if they are only read,
    and numbers must have exactly the declared type, not an int in place of a float.
    """
    made: types.BaseTuple = types.BaseTuple.from_types([kinds[name] for name in cls._fields], cls)
    return made


@functools.cache
def sources(module: str) -> dict[str, bytes]:
    """Return the contents of a kernel file and of all that it imports, directly or not, by module name."""
    contents = (importlib.resources.files(__package__) / f"{module}.py").read_bytes()
    return {module: contents, **imported(contents)}


def imported(contents: bytes) -> dict[str, bytes]:
    """Return the `sources` of all kernel files that a file imports."""
    return {name: found for module in IMPORT.findall(contents) for name, found in sources(module.decode()).items()}


def digest(function: Callable[..., Any]) -> str:
    """Return a digest of the files on which the code of a kernel can depend; it may be one of a script or a test."""
    package, _, name = function.__module__.rpartition(".")
    if package == __package__:
        found = sources(name)
    else:
        own = Path(function.__code__.co_filename).read_bytes()
        found = {"": own, **imported(own)}
    parts = (part for name, contents in sorted(found.items()) for part in (name.encode(), contents))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


@functools.cache
def cache_directory() -> str:
    """Return the first writable: NUMBA_CACHE_DIR, the kernels' `__pycache__`, the user's cache, a temporary directory."""
    candidates = [Path(__file__).parent / "__pycache__", Path("~/.cache/cooc-engine").expanduser()]
    if SETTINGS.CACHE_DIR:
        candidates.insert(0, Path(SETTINGS.CACHE_DIR) / "cooc-engine")
    for path in candidates:
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                return str(path)
        except OSError:
            continue
    return tempfile.mkdtemp(prefix="cooc-engine-")


class _Locator(caching._CacheLocator):
    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        settings = (
            sorted((k, repr(sorted(v) if isinstance(v, set) else v)) for k, v in options.items()),
            numba.__version__,
            SETTINGS.BOUNDSCHECK,
            SETTINGS.OPT,
        )
        self._name = function.__module__
        self._stamp = hashlib.sha256(f"{digest(function)} {settings}".encode()).hexdigest()

    def get_cache_path(self) -> str:
        return cache_directory()

    def get_source_stamp(self) -> str:
        return self._stamp

    def get_disambiguator(self) -> str:
        return hashlib.sha256(f"{self._name} {Path(__file__).resolve()}".encode()).hexdigest()[:12]


def _cache(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Return Numba's cache for `function`, with our own location and our own rule for when it is stale."""

    class Impl(caching.CompileResultCacheImpl):
        def __init__(self, py_func: Callable[..., Any]) -> None:
            self._locator = _Locator(py_func, options)
            self._filename_base = self.get_filename_base(py_func.__qualname__, "")
            self._lineno = py_func.__code__.co_firstlineno

    class Cache(caching.FunctionCache):
        _impl_class = Impl

        def __init__(self, py_func: Callable[..., Any]) -> None:
            super().__init__(py_func)
            try:
                self._cache_file._load_index()
            except Exception:  # it holds types of another version, which Numba unpickles before it checks the stamp
                self._cache_file.flush()

    return Cache(function)


def kernel(signature: Any, *, fast: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel for one signature or a list of them; it releases the GIL and is cached on disk.

    `fast` allows sums to be reordered. Kernels allocate nothing, so reference counting is off (it would cost atomic operations
    at every call of a helper). Division follows IEEE (no ZeroDivisionError): loops with Python's division do not vectorise.
    """
    options: dict[str, Any] = {**COMMON, "fastmath": set(FAST) if fast else False}

    def compile_kernel(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        if hasattr(dispatcher, "py_func"):  # it is the function itself under NUMBA_DISABLE_JIT
            dispatcher._cache = _cache(function, options)
            for one in signature if isinstance(signature, list) else [signature]:
                dispatcher.compile(one)
            dispatcher.disable_compile()
        return dispatcher

    return compile_kernel


def helper(function: Callable[..., Any]) -> Any:
    """Compile a function for use in kernels, with the flags of a `fast` kernel; it becomes part of their cached code.

    Inlining is forced: calls left in place, and the reference counts of their arrays, made the tokeniser 2.5 times slower.
    """
    options: dict[str, Any] = {**COMMON, "fastmath": set(FAST), "forceinline": True}
    return numba.njit(**options)(function)
