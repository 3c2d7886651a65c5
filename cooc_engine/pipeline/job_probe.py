"""The table [probe] of a job: tests of the layers of its ELMo models; scores are kept between runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cooc_engine._version import __version__
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.layers import probe
from cooc_engine.evaluation.options import ProbeOptions
from cooc_engine.models.documents import Evaluation
from cooc_engine.models.file import open_model
from cooc_engine.pipeline.job_tables import Place, options_of
from cooc_engine.pipeline.kept_results import contents, remembered
from cooc_engine.pipeline.stages import encoded
from cooc_engine.reports.canvas import require_matplotlib
from cooc_engine.reports.layers import plot_layers
from cooc_engine.runtime.keywords import Run, SharedFreshKeywords
from cooc_engine.storage.outputs import write_record

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Probing"]

FILES = {
    "tags": "tags", "senses": "senses", "sentence-pairs": "pairs", "word-in-context": "word_in_context", "held-out": "held_out",
}  # fmt: skip
NUMBERS = {"tags": 2, "senses": 1, "word_in_context": 2}  # numbers of files; of the other kinds there may be any number
Row = dict[str, Any]


class _Memory(TypedDict):
    """The file of kept results: the rows of `probe` by digests of models and files."""

    probed: dict[str, list[Evaluation]]


@dataclass(frozen=True)
class Probing:
    """The tests of each model: files by the names in `FILES`, options, and whether to draw a picture.

    The texts in `held_out`, on which perplexity is measured, are encoded as the job's texts are, with its vocabulary.
    """

    files: Mapping[str, Sequence[Path]]
    options: ProbeOptions
    picture: bool

    @classmethod
    def of(cls, table: Mapping[str, Any], paths: Callable[[Any, str], list[Path]], where: Place) -> Probing:
        """Return the tests of a table; `paths` returns the files that a value names.

        Raises `UsageError` for an unknown key or an invalid value, `InputError` for a missing file.
        """
        rest = dict(table)
        files = {name: paths(rest.pop(key), f"[probe] {key}") for key, name in FILES.items() if key in table}
        for name, number in NUMBERS.items():
            if len(files.get(name, [None] * number)) != number:
                raise UsageError(f"{where}: {name} has {len(files[name])} files; it must have {number}")
        picture = rest.pop("picture", False)
        if not isinstance(picture, bool):
            raise UsageError(f"{where}: picture is {picture!r}; it must be true or false")
        options = options_of(ProbeOptions, rest, where)
        if options.save_mix is not None or options.force:
            raise UsageError(f"{where}: a job cannot save a mix, since it may have several models; use `probe --save-mix`")
        if not any(files.values()):
            raise UsageError(f"{where}: names no files to evaluate on; it takes {', '.join(FILES)}")
        for path in (path for group in files.values() for path in group if not path.is_file()):
            raise InputError(f"{path}: no such file (in {where})")
        if picture:
            require_matplotlib()
        return cls(files, options, picture)

    def rows(
        self, models: Sequence[Path], corpus: Corpus, encode: EncodeOptions, output: Path, **run: Unpack[SharedFreshKeywords]
    ) -> list[Row]:
        """Return the rows of `probe` for each model, which are kept in `probe.json`; draw `layers.svg` if wanted.

        The models were trained on `corpus`, which was encoded with the options `encode`.
        """
        how, memory = Run.of("run", run, SharedFreshKeywords), output / "probe.json"
        found = None if how.force else remembered(memory, _Memory, "has not the scores")
        kept = dict(found["probed"]) if found else {}
        held_out = self._held_out(corpus, encode, output, **run)
        given = {kind: contents(paths) for kind, paths in self.files.items()}
        rows: list[Row] = []
        with how.shown.stage("probe", len(models), "models") as stage:
            for path in models:
                made_of = [__version__, open_model(path).digest, corpus.digest, given, self.options.record()]
                digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
                if digest not in kept:
                    kept[digest] = self._probed(path, held_out)
                    write_record(memory, {"probed": kept})
                rows += [{"model": f"{path}", **row} for row in kept[digest]]
                stage.advance(1, f"{path}")
        if self.picture:
            plot_layers(rows, output / "layers.svg", force=True)
        return rows

    def _held_out(
        self, corpus: Corpus, encode: EncodeOptions, output: Path, **run: Unpack[SharedFreshKeywords]
    ) -> list[Corpus]:
        """Return the held-out corpus and that of the training, or nothing if no text is held out."""
        texts = self.files.get("held_out")
        if not texts:
            return []
        at = output / "held-out"
        if at.exists() and Corpus(at).vocabulary.digest != corpus.vocabulary.digest:
            run["force"] = True  # the corpus was made anew since
        same_words = replace(encode, vocabulary=f"{corpus.path}", min_count=type(encode).min_count, max_vocab=None)
        return [encoded(texts, at, same_words, **run), corpus]

    def _probed(self, path: Path, held_out: Sequence[Corpus]) -> list[Evaluation]:
        given: Any = {name: paths[0] if NUMBERS.get(name) == 1 else tuple(paths) for name, paths in self.files.items()}
        rows = probe(
            path,
            **{name: value for name, value in given.items() if name != "held_out"},
            perplexity=[corpus.path for corpus in held_out],
            options=self.options,
        )
        return [{key: value for key, value in row.items() if key != "model"} for row in rows]  # type: ignore[misc]
