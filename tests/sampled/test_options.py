"""No option is taken in vain: another value of it changes the design of the training, or is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from support.topics import make_corpus, planted

from cooc_engine.errors import UsageError
from cooc_engine.models.sampled_options import (
    CbowOptions,
    Doc2vecOptions,
    FasttextOptions,
    JoseOptions,
    SampledOptions,
    SkipgramOptions,
)  # fmt: skip
from cooc_engine.sampled.doc2vec import design_doc2vec
from cooc_engine.sampled.fasttext import design_fasttext
from cooc_engine.sampled.jose import design_jose
from cooc_engine.sampled.word2vec import design_cbow, design_skipgram

DESIGNS = {
    "skipgram": (SkipgramOptions, design_skipgram),
    "cbow": (CbowOptions, design_cbow),
    "doc2vec": (Doc2vecOptions, design_doc2vec),
    "jose": (JoseOptions, design_jose),
    "fasttext": (FasttextOptions, design_fasttext),
}
ELSEWHERE = {"vector_size", "vectors", "init", "extend"}  # of the network, of what is published, and of where training begins


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    documents = [[f"{word}-of-a-topic" for word in words] for words in planted(2, 12)]
    return make_corpus(tmp_path_factory.mktemp("options") / "corpus", documents)


def others(hint: Any, value: Any) -> Iterator[Any]:
    """Give other values of an option than its own, by its type."""
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    for one in get_args(kind) if get_origin(kind) is not Literal else (kind,):
        if get_origin(one) is Literal:
            yield from (choice for choice in get_args(one) if choice != value)
    kinds = get_args(kind) or (kind,)
    if bool in kinds:
        yield not value
    elif int in kinds:
        yield (value or 0) + 4  # noise words are rounded up to tiles
    elif float in kinds:
        yield (value or 0.001) / 2


def traces(options: SampledOptions, design, corpus) -> list[object]:
    """What the trainer is told, as values that can be compared."""
    made = design(corpus, options)
    fields = {field.name: getattr(made.model, field.name) for field in dataclasses.fields(made.model)}
    tables = [table.tobytes() for table in fields.pop("tables")]
    return [type(made.model), tables, fields, dict(made.inputs), dict(made.outputs), made.start, made.facts]


@pytest.mark.parametrize("family", DESIGNS)
def test_another_value_changes_the_training_or_is_refused(corpus, family):
    kind, design = DESIGNS[family]
    plain, idle = kind(), list[str]()
    usual = traces(plain, design, corpus)
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        for value in others(hints[field.name], getattr(plain, field.name)) if field.name not in ELSEWHERE else ():
            try:
                changed = traces(kind(**{field.name: value}), design, corpus) != usual
            except UsageError:
                continue
            idle += [] if changed else [f"{field.name}={value}"]
    assert idle == []
