"""The compiler options of all kernels, and a disk cache that is invalidated by every relevant change.

Numba's own cache looks only at the file of the function: it ignores jit options, and helpers in other files. Here the
stamp of a cached kernel covers the options, its file, and all kernel files that this one imports, directly or through others:
any edit to these recompiles it, and nothing else does.
Kernels have explicit signatures: they are compiled, or loaded from the cache, when their module is imported, never while a
stage is being timed, and an array of the wrong type is an error instead of a second specialisation.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import importlib.resources
import logging
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba import types
from numba.core import caching

# `nnan` and `ninf` are deliberately absent: they would let the compiler remove checks for NaN and infinity.
FAST = frozenset({"reassoc", "contract", "arcp", "nsz", "afn"})
SETTINGS: Any = numba.config
LOG = logging.getLogger("cooc_engine.kernels")
EVERY = 5.0  # seconds between two notices
OTHERS = stat.S_IWGRP | stat.S_IWOTH
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
    """Return where compiled kernels are kept: the first directory into which only this user, or root, can put files.

    These are NUMBA_CACHE_DIR, the kernels' `__pycache__`, the user's cache, and one in the directory for temporary files; where
    `mark_warm` was called, it need not be writable. Without any, kernels are kept until the process ends.
    """
    places = [path for path in _candidates() if path.is_absolute()]
    for path in places:
        if _is_private(path) and (path / _mark()).exists():
            return str(path)
    for path in places:
        with suppress(OSError):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_private(path):
                with tempfile.TemporaryFile(dir=path):
                    return str(path)
    made = tempfile.mkdtemp(prefix="cooc-engine-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _candidates() -> list[Path]:
    """Return the places of the cache, the best first; that of a home which nobody knows begins with `~`."""
    home = Path("~/.cache/cooc-engine")
    with suppress(RuntimeError):
        home = home.expanduser()
    own = [Path(__file__).parent / "__pycache__", home, _temporary()]
    return [Path(SETTINGS.CACHE_DIR).absolute() / "cooc-engine", *own] if SETTINGS.CACHE_DIR else own


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"cooc-engine-{os.getuid()}"


def _is_private(path: Path) -> bool:
    """Tell whether only this user, or root, can put files into a directory, or another directory in its place.

    Compiled kernels are code: they are never loaded from where somebody else could have put them.
    """
    try:
        own, around = path.lstat(), path.parent.stat()
    except OSError:
        return False
    mine = stat.S_ISDIR(own.st_mode) and own.st_uid in (os.getuid(), 0) and not own.st_mode & OTHERS
    return mine and (not around.st_mode & OTHERS or bool(around.st_mode & stat.S_ISVTX))


@functools.cache
def _mark() -> str:
    """Return the name of the file that says that a directory has all kernels of this version, for this processor."""
    folder = importlib.resources.files(__package__)
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".py"))
    parts = [folder.joinpath(name).read_bytes() for name in names]
    machine = numba.core.registry.cpu_target.target_context.codegen().magic_tuple()
    return f"warm-{hashlib.sha256(repr((names, parts, machine, numba.__version__)).encode()).hexdigest()[:16]}"


def mark_warm() -> None:
    """Say of the directory of the cache that all kernels are in it."""
    Path(cache_directory(), _mark()).touch()


class _Notice:
    """Says that kernels are being compiled: first why it takes so long, then every few seconds how many there are."""

    count, said = 0, 0.0

    def compiling(self) -> None:
        """Note that one more is compiled now."""
        self.count += 1
        if self.count == 1:
            LOG.info("compiling kernels for this processor, once; that takes up to a minute or two%s", self._kept())
        elif time.monotonic() - self.said < EVERY:
            return
        else:
            LOG.info("compiling kernels: %d so far", self.count)
        self.said = time.monotonic()

    def _kept(self) -> str:
        place = Path(cache_directory())
        if not place.name.startswith("cooc-engine-"):
            return f"; they are kept in {place}"
        least = "until the next restart" if place == _temporary() else "for this process only"
        return f"; they are kept {least}, in {place}: set NUMBA_CACHE_DIR to a directory that only you can write"


NOTICE = _Notice()


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
                with suppress(OSError):
                    self._cache_file.flush()

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            """Load a kernel without what Numba knows of Python and NumPy, which only compiling needs and then loads itself.

            That, and SciPy, which it asks for, would take as long to load as all kernels together.
            """
            found = self._load_overload(sig, target_context)
            if found is None:
                NOTICE.compiling()
            return found

        def save_overload(self, sig: Any, data: Any) -> None:
            with suppress(OSError):  # a full disk, or a place that is only read: the next process compiles again
                super().save_overload(sig, data)

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
