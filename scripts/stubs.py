"""Writes the stubs from which editors and type checkers know the options of each stage and family: `python scripts/stubs.py`.

`train` has an overload for each family, each estimator a constructor, and `encode` and `count` their keywords, with the names,
types, defaults and texts of the classes of options.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.models.families import Family, trainable
from cooc_engine.pipeline import text_estimators, text_to_counts
from cooc_engine.pipeline.text_estimators import TextEstimator, parameters_of
from cooc_engine.runtime.described import described
from cooc_engine.runtime.options import Options

PIPELINE = Path(text_estimators.__file__).parent
MADE = '"""Made by scripts/stubs.py: types and defaults of the options."""\n\nfrom __future__ import annotations\n'
RUN = """
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,"""
SHARED = """
    processes: int | None = None,
    cluster: Any = None,"""
FUNCTION = "str | Callable[[str], Iterable[str]]"  # of a module, which a record has by its name
OWN = """
        pooling: Literal["mean", "sum", "sif"] = "mean",
        output: PathLike | None = None,
        random_state: Any = 1,
        n_jobs: int | None = None,"""


def shown(hint: Any) -> str:
    """Return a type as it is written."""
    if typing.get_origin(hint) is typing.Literal:
        return f"Literal[{', '.join(map(quoted, typing.get_args(hint)))}]"
    if parts := typing.get_args(hint):
        return " | ".join(map(shown, parts))
    return "None" if hint is type(None) else str(hint.__name__)


def quoted(value: Any) -> str:
    """Return a constant as it is written."""
    return f'"{value}"' if isinstance(value, str) else repr(value)


def parameters(kind: type[Options], names: Sequence[str], indent: str) -> Iterator[str]:
    """Yield a line for each of the named options."""
    hints = typing.get_type_hints(kind)
    for name in names:
        kind_of = FUNCTION if name == "tokenizer" else shown(hints[name])
        yield f"\n{indent}{name}: {kind_of} = {quoted(getattr(kind, name))},"


def overload(name: str, family: Family) -> str:
    """Return the overload of `train` for a family."""
    kind = family.options
    indented = "\n".join(f"    {line}" for text in described(kind, kind.names()) for line in text.split("\n"))
    return f'''
@overload
def train(
    model: Literal["{name}"],
    source: Source,
    output: PathLike,
    options: {kind.__name__} | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,{RUN}{SHARED if family.shared else ""}{"".join(parameters(kind, kind.names(), "    "))}
) -> Model:
    """{family.title}

{indented}
    """
'''


def train_stub() -> str:
    """Return the stub of `train`."""
    families = trainable()
    homes: dict[str, list[str]] = {}
    for family in families.values():
        homes.setdefault(family.options.__module__, []).append(family.options.__name__)
    imports = [f"from {home} import {', '.join(sorted(names))}" for home, names in homes.items()]
    head = [
        "from typing import Any, Literal, overload\n",
        *sorted([
            "from cooc_engine.corpus.options import EncodeOptions",
            "from cooc_engine.counts.options import CountOptions",
            "from cooc_engine.pipeline.stages import Source",
            "from cooc_engine.runtime.progress import Shown",
            "from cooc_engine.runtime.types import PathLike",
            "from cooc_engine.vectors.model import Model",
            *imports,
        ]),
        '\n__all__ = ["train"]\n',
    ]  # fmt: skip
    return MADE + "\n" + "\n".join(head) + "".join(overload(name, family) for name, family in families.items())


def constructor(name: str) -> str:
    """Return the class of an estimator."""
    estimator: type[TextEstimator] = getattr(text_estimators, name)
    options = "".join(line for kind, names in parameters_of(estimator.family) for line in parameters(kind, names, " " * 8))
    first, _, rest = (estimator.__doc__ or "").partition("\n")
    indented = "\n".join(f"    {line}".rstrip() for line in rest.rstrip().split("\n"))
    return f'''
class {name}(TextEstimator):
    """{first}
{indented}
    """

    def __init__(
        self,
        *,{options}{OWN}
    ) -> None: ...
'''


def estimators_stub() -> str:
    """Return the stub of the estimators."""
    names = ", ".join(f'"{name}"' for name in text_estimators.__all__)
    return f"""{MADE}
from collections.abc import Callable, Iterable
from typing import Any, Literal

from typing_extensions import Self

from cooc_engine.runtime.options import Options
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.vectors.model import Model
from cooc_engine.vectors.query import Vectors

__all__ = [{names}]

class TextEstimator:
    family: str
    model_: Model
    vectors_: Vectors
    vocabulary_: dict[str, int]

    def fit(self, X: Any, y: Any = None) -> Self: ...
    def transform(self, X: Any) -> Matrix: ...
    def fit_transform(self, X: Any, y: Any = None) -> Matrix: ...
    def get_feature_names_out(self, input_features: Any = None) -> Any: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def set_params(self, **params: Any) -> Self: ...
    def set_output(self, *, transform: str | None = None) -> Self: ...

def parameters_of(family: str) -> list[tuple[type[Options], list[str]]]: ...
""" + "".join(map(constructor, text_estimators.__all__))


FRESH = """
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    progress: Shown = None,"""
STOPPABLE = f"""{FRESH}
    resume: bool = False,
    take_over: bool = False,{SHARED}"""
STAGES: list[tuple[str, str, type[Options], str, str]] = [  # names, inputs, options, keywords of the run, and results
    ("encode", "texts: PathLike | Sequence[PathLike]", EncodeOptions, STOPPABLE, "Corpus"),
    ("encode_documents", "documents: Iterable[str | Sequence[str] | TaggedDocument]", EncodeOptions, FRESH, "Corpus"),
    ("count", "corpus: PathLike | Corpus", CountOptions, STOPPABLE, "Cooc"),
]


def stage(name: str, given: str, kind: type[Options], run: str, made: str) -> str:
    """Return the function of a stage."""
    indented = "\n".join(f"    {line}" for text in described(kind, kind.names()) for line in text.split("\n"))
    first, _, _ = (getattr(text_to_counts, name).__doc__ or "").partition("\n")
    return f'''
def {name}(
    {given},
    output: PathLike,
    options: {kind.__name__} | None = None,
    *,{run}{"".join(parameters(kind, kind.names(), "    "))}
) -> {made}:
    """{first}

{indented}
    """
'''


def stages_stub() -> str:
    """Return the stub of the stages before a model."""
    head = """
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.runtime.progress import Shown
from cooc_engine.runtime.types import PathLike
from cooc_engine.text.tagged import TaggedDocument

__all__ = ["count", "encode", "encode_documents"]
"""
    return MADE + head + "".join(stage(*each) for each in STAGES)


STUBS = {"train.pyi": train_stub, "text_estimators.pyi": estimators_stub, "text_to_counts.pyi": stages_stub}

if __name__ == "__main__":
    for file, make in STUBS.items():
        (PIPELINE / file).write_text(make(), "utf-8")
