"""The demonstration: the whole pipeline on a text that every installation has, the documentation of its libraries."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sysconfig
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import UsageError, advising
from cooc_engine.models.matrix_options import GloveOptions
from cooc_engine.reports.pictures import plot_model
from cooc_engine.runtime.progress import Progress
from cooc_engine.storage.outputs import disk_errors, write_whole, writing_files

__all__ = ["demo", "write_documentation"]

PACKAGES = ("numpy", "scipy", "numba", "h5py")
SKIPPED = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "ensurepip", "site-packages", "dist-packages"}

# Modules written in C or Cython, whose docstrings are in the objects and not in a source file; all are safe to import.
COMPILED = """
    builtins sys gc time math cmath errno posix itertools operator array atexit binascii marshal mmap fcntl select
    grp pwd resource signal syslog termios unicodedata zlib pyexpat faulthandler _abc _ast _asyncio _bisect _bz2
    _codecs _collections _contextvars _csv _ctypes _curses _datetime _decimal _elementtree _functools _hashlib
    _heapq _imp _io _json _locale _lsprof _lzma _multiprocessing _operator _pickle _posixshmem _posixsubprocess
    _queue _random _signal _socket _sqlite3 _sre _ssl _stat _statistics _string _struct _symtable _thread
    _tracemalloc _uuid _warnings _weakref _zoneinfo numpy numpy.char numpy.fft numpy.linalg numpy.ma
    numpy.polynomial numpy.random numpy.rec numpy.strings scipy.special scipy.sparse scipy.spatial scipy.ndimage
    scipy.fft h5py h5py.h5 h5py.h5a h5py.h5d h5py.h5f h5py.h5g h5py.h5i h5py.h5l h5py.h5o h5py.h5p h5py.h5r
    h5py.h5s h5py.h5t h5py.h5z
""".split()  # noqa: SIM905 - a hundred quoted names are harder to read

ROLE = re.compile(r":[a-z:]+:(?=`)")  # such as :math: before a formula: markup, not a word
TOKEN = re.compile(r"[^\W\d]\w*(?:['.-]\w+)*|\d+(?:\.\d+)?|[.,;:!?()]")

ENCODE = EncodeOptions(min_count=5)
COUNT = CountOptions(window=10)
GLOVE = GloveOptions(vector_size=100, epochs=25, x_max=10.0)
SHOWN = ("array", "file", "string", "thread", "matrix", "socket", "float", "exception", "probability")

MARK = "Made by cooc-engine demo"
README = f"""{MARK}; a further run replaces it all, and nothing is lost if you delete it.

documentation.txt  one docstring or help topic per line
corpus             the same text as word numbers, and the vocabulary
cooc               how often each word occurs near each other word
model.h5           the vectors: cooc-engine nn model.h5 array
report.png         loss by epoch, and a map of frequent words
"""


def write_documentation(path: Path, progress: Progress | None = None) -> int:
    """Write the documentation of the standard library, NumPy, SciPy, Numba and h5py, one text per line; return their number.

    Sources are parsed, not imported, except for compiled modules. Identical texts, such as inherited docstrings, are
    written once; text is lower-cased, words and punctuation are separated by spaces. The order is always the same.
    """
    count = 0
    sources = list(_sources(_roots()))
    with (
        (progress or Progress()).stage("read documentation", len(sources) + len(COMPILED) + 1, "files") as stage,
        warnings.catch_warnings(),
        writing_files([path], force=True) as [part],
        part.open("w", encoding="utf-8", newline="\n") as file,
    ):
        warnings.simplefilter("ignore")  # invalid escapes in third-party sources, deprecated modules
        seen: set[str] = set()
        for texts in _all_texts(sources):
            for line in map(tokenize, texts):
                if line and line not in seen:
                    seen.add(line)
                    file.write(line + "\n")
                    count += 1
            stage.advance(1)
    return count


def tokenize(text: str) -> str:
    """Return the words, numbers and punctuation of a text in lower case, separated by single spaces."""
    return " ".join(TOKEN.findall(ROLE.sub("", text.lower())))


def _roots() -> list[Path]:
    """Return the directories of the standard library and of those packages that are installed as plain files."""
    specs = map(importlib.util.find_spec, PACKAGES)
    found = [spec.submodule_search_locations[0] for spec in specs if spec and spec.submodule_search_locations]
    return [Path(sysconfig.get_path("stdlib")), *map(Path, found)]


def _sources(roots: Sequence[Path]) -> Iterator[Path]:
    """Yield the Python files under each root in turn, sorted, without tests and third-party packages."""
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            if SKIPPED.isdisjoint(path.relative_to(root).parts):
                yield path


def _all_texts(sources: Sequence[Path]) -> Iterator[list[str]]:
    """Yield the texts of one file or module at a time; help topics come first."""
    yield list(_topics().values())
    for path in sources:
        yield docstrings(path)
    for name in COMPILED:
        yield _object_texts(name)


def _topics() -> Mapping[str, str]:
    try:
        module = importlib.import_module("pydoc_data.topics")
    except ImportError:
        return {}
    topics: dict[str, str] = module.topics
    return dict(sorted(topics.items()))


def docstrings(path: Path) -> list[str]:
    """Return all docstrings of a source file, in order; none if it cannot be read or parsed."""
    try:
        return list(_docstrings_below(ast.parse(path.read_bytes())))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return []


def _docstrings_below(node: ast.AST) -> Iterator[str]:
    # Only statements that contain statements are entered: four times faster than ast.walk, which visits every expression.
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        text = ast.get_docstring(node, clean=False)
        if text:
            yield text
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        children = getattr(node, field, ())
        if isinstance(children, list):
            for child in children:
                yield from _docstrings_below(child)


def _object_texts(name: str) -> list[str]:
    """Return the docstrings of a module's public objects and of their members; none if it cannot be imported."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return []
    return [text for item in _documented(module) if isinstance(text := _doc(item), str)]


def _documented(module: ModuleType) -> Iterator[object]:
    yield module
    for name, item in sorted(vars(module).items()):
        if name.startswith("_") or isinstance(item, ModuleType):
            continue
        yield item
        if isinstance(item, type):
            yield from (member for _, member in sorted(vars(item).items()))


def _doc(item: object) -> object:
    """Return an object's own docstring, or None if it is merely that of its type."""
    text = getattr(item, "__doc__", None)
    return None if text == getattr(type(item), "__doc__", None) else text


def demo(output: Path = Path("cooc-demo"), progress: Progress | None = None) -> list[str]:
    """Run the whole pipeline in the directory `output`; return lines that describe the results.

    Leaves documentation.txt, the encoded corpus, the co-occurrences, model.h5 and report.png (with the extra `plot`).
    Raises `UsageError` if the directory holds anything not made by an earlier demonstration.
    """
    with advising("run the demo again"), disk_errors(output):
        _claim(output)
        return _pipeline(output, progress or Progress())


def _claim(output: Path) -> None:
    """Create the directory, or check that it is empty or from an earlier demonstration, and leave a note that marks it."""
    readme = output / "README.txt"
    ours = readme.is_file() and readme.read_text("utf-8", "replace").startswith(MARK)
    if output.is_dir() and any(output.iterdir()) and not ours:
        raise UsageError(f"{output}: holds other files; choose another --output for the demo")
    output.mkdir(parents=True, exist_ok=True)
    write_whole(readme, README.encode())


def _pipeline(output: Path, progress: Progress) -> list[str]:
    from cooc_engine.corpus.encode import encode
    from cooc_engine.counts.count import count  # imported here, since writing the text needs no Numba
    from cooc_engine.matrix.glove import train_glove

    text, corpus, cooc, model = (output / name for name in ("documentation.txt", "corpus", "cooc", "model.h5"))
    texts = write_documentation(text, progress)
    encoded = encode([text], corpus, ENCODE, force=True, progress=progress)
    count(corpus, cooc, COUNT, force=True, progress=progress)
    train_glove(cooc, model, GLOVE, force=True, progress=progress)
    return [
        f"text     {texts:,} docstrings and help topics, {encoded.tokens:,} words of {len(encoded.vocabulary):,} kinds",
        f"model    {model}",
        f"picture  {_picture(model, output / 'report.png')}",
        "",
        "Nearest words, by cosine:",
        *_neighbours(model),
        "",
        f"More: cooc-engine nn {model} WORD...",
    ]


def _picture(model: Path, path: Path) -> str:
    """Draw the report, or return a hint on how to install what it needs."""
    from cooc_engine.models.file import open_model

    try:
        return str(plot_model(open_model(model), path, force=True))
    except UsageError as error:
        return f"none; {error.flags}"


def _neighbours(model: Path) -> list[str]:
    """Return a line of nearest neighbours for some of the words in the vocabulary."""
    from cooc_engine.vectors.query import Vectors

    vectors = Vectors.open(model)
    words = [word for word in SHOWN if word in vectors]
    width = max(map(len, SHOWN)) + 2
    found = {word: vectors.most_similar(word, topn=6) for word in words}
    return [f"  {word:<{width}}{'  '.join(f'{near} {cos:.2f}' for near, cos in found[word])}" for word in words]
