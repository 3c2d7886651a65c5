"""What the layers of ELMo know: each score against what it must be where that is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.elmo import TINY, random_network

from cooc_engine.contextual.file import elmo_data, imported_config
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.layers import perplexities, probe, pseudo_words, same_senses, sentence_pairs, tagging
from cooc_engine.evaluation.ngrams import NgramModel, perplexity
from cooc_engine.evaluation.options import ProbeOptions
from cooc_engine.evaluation.sets import PairSet, TaggedSet, read_tagged
from cooc_engine.evaluation.word_in_context import best_cut, read_word_in_context
from cooc_engine.models.file import save_model
from cooc_engine.vectors.contextual import ContextualVectors
from cooc_engine.vectors.layer_mix import LayerMix

WIDE = replace(TINY, vector_size=10, cells=24, words=0, cell_clip=3.0, projection_clip=3.0)
CONLLU = """# sent_id = 1
1\tThe\tthe\tDET\t_\t_\t_\t_\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\t_\t_\t_\t_\t_\t_
3\tn't\tnot\tPART\t_\t_\t_\t_\t_\t_
3.1\tgo\tgo\tVERB\t_\t_\t_\t_\t_\t_
4\t.\t.\tPUNCT\t_\t_\t_\t_\t_\t_

1\tGo\tgo\tVERB\t_\t_\t_\t_\t_\t_
"""


@pytest.fixture(scope="module")
def vectors():
    return ContextualVectors(random_network(WIDE, size=0.3), Vocabulary.from_words([], []))


def random_sentences(number: int, words: list[str], length: int = 6) -> list[list[str]]:
    rng = np.random.default_rng(0)
    return [rng.choice(words, length).tolist() for _ in range(number)]


# ----------------------------------------------------------------------------------------------------------- tagging


def test_words_and_tags_are_read_from_conllu(tmp_path):
    (tmp_path / "a.conllu").write_text(CONLLU)
    found = read_tagged(tmp_path / "a.conllu")
    assert (found.name, found.sentences) == ("a", [["The", "ca", "n't", "."], ["Go"]])
    assert found.tags == [["DET", "AUX", "PART", "PUNCT"], ["VERB"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\tThe\tthe\n", "a.conllu:1: expected the ten fields"),
        ("# nothing\n\n", "holds no sentences"),
        (CONLLU.split("\n")[3] + "\n", "a.conllu:1: word 2 has no word 1 before it"),
    ],
)
def test_a_file_that_is_no_conllu_is_refused(tmp_path, text, said):
    (tmp_path / "a.conllu").write_text(text)
    with pytest.raises(InputError, match=said):
        read_tagged(tmp_path / "a.conllu")


def test_tags_that_follow_from_the_word_are_known_without_context_and_others_only_with_it(vectors):
    sentences = random_sentences(60, ["red", "blue", "x", "y"])
    own = TaggedSet("own", sentences, sentences)
    before = TaggedSet("before", sentences, [["x", *sentence[:-1]] for sentence in sentences])
    of_own, _ = tagging(vectors, own, own)
    of_before, mix = tagging(vectors, before, before)
    value = {data: {row["kind"]: row["value"] for row in rows} for data, rows in (("own", of_own), ("before", of_before))}
    assert value["own"]["most common tag"] == value["own"]["layer 0"] == 1
    assert value["before"]["layer 0"] < 0.6
    assert value["before"]["mix"] >= value["before"]["layer 1"] - 0.02 > 0.8
    assert isinstance(mix, LayerMix)
    assert {row["covered"] for row in of_before} == {360}
    assert all(row["low"] <= row["value"] <= row["high"] for row in of_before)


# ------------------------------------------------------------------------------------------------------------ senses


def test_pseudo_words_are_told_apart_by_their_contexts_alone(vectors):
    near = {"river": ["water", "shore", "boat"], "album": ["song", "band", "drums"]}
    rng = np.random.default_rng(0)
    sentences = [
        [*rng.choice(near[word], 12), word, *rng.choice(near[word], 12)] for word in near for _ in range(20)
    ]  # fmt: skip
    rows = pseudo_words(vectors, [list(map(str, sentence)) for sentence in sentences], [("river", "album"), ("no", "where")])
    assert [row["kind"] for row in rows] == ["layer 0", "layer 1", "layer 2"]
    assert rows[0]["value"] < 0.7  # the same letters everywhere
    assert min(rows[1]["value"], rows[2]["value"]) > 0.9
    assert rows[0]["covered"] == 1


# ------------------------------------------------------------------------------------------------------------- pairs


def test_pairs_with_more_words_in_common_are_more_alike(vectors):
    words = [f"w{n}" for n in range(20)]
    pairs = [(" ".join(words[:10]), " ".join([*words[:n], *words[10 : 20 - n]])) for n in range(10)]
    rows = {row["kind"]: row["value"] for row in sentence_pairs(vectors, PairSet("pairs", pairs, list(range(10))))}
    assert set(rows) == {"words in common", "layer 0", "layer 1", "layer 2"}
    assert rows["words in common"] > 0.9
    assert rows["layer 0"] > 0.5


# --------------------------------------------------------------------------------------------------- words in context


def in_context(path: Path, pairs: list[tuple[str, str, str, str]]) -> Path:
    """Write pairs of places, two sentences and the gold."""
    path.write_text("".join(f"x\tN\t{places}\t{first}\t{second}\n" for places, first, second, _ in pairs))
    path.with_name(path.name.replace("data", "gold")).write_text("".join(f"{gold}\n" for *_, gold in pairs))
    return path


def test_a_word_beside_the_same_words_has_the_same_sense(tmp_path, vectors):
    rng = np.random.default_rng(0)
    pairs = []
    for number in range(60):
        one, two = (" ".join(rng.permutation(list(words))) for words in ("abc", "uvw"))
        pairs.append(("3-3", f"{one} x", f"{two if number % 2 else one} x", "FT"[number % 2 == 0]))
    train, test = (in_context(tmp_path / f"{name}.data.txt", part) for name, part in (("a", pairs[:30]), ("b", pairs[30:])))
    rows = same_senses(vectors, read_word_in_context(train), read_word_in_context(test))
    assert [row["dataset"] for row in rows] == ["words in context of b"] * 3
    assert rows[0]["value"] == 0.5  # the same letters everywhere
    assert min(rows[1]["value"], rows[2]["value"]) > 0.9
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)


@pytest.mark.parametrize(
    ("cosines", "same", "cut"), [([1, 2, 3, 4], "FFTT", 2), ([4, 1, 3, 2], "TTTT", -np.inf), ([1, 2], "FF", 2)]
)
def test_the_cut_is_where_the_most_are_right(cosines, same, cut):
    assert best_cut(np.array(cosines, float), np.array(list(same)) == "T") == cut


def test_a_directory_is_no_file_of_words_in_context():
    with pytest.raises(InputError, match=r"^\.: pass the file NAME.data.txt"):
        read_word_in_context(".")


@pytest.mark.parametrize(
    ("name", "line", "gold", "said"),
    [
        ("a.txt", "x\tN\t0-0\ta\tb", "T", "pass the file NAME.data.txt"),
        ("a.data.txt", "x\tN\t0\ta\tb", "T", "a.data.txt:1: expected word, part of speech, places such as 4-0"),
        ("a.data.txt", "x\tN\t0-1\ta\tb", "T", "a.data.txt:1: place 1 is beyond the sentence, which has 1 words"),
        ("a.data.txt", "x\tN\t0-0\ta\tb", "yes", "a.gold.txt:1: expected T or F, found 'yes'"),
        ("a.data.txt", "x\tN\t0-0\ta\tb", "T\nF", "a.gold.txt: 2 answers, but a.data.txt has 1 pairs"),
    ],
)
def test_files_that_are_no_words_in_context_are_refused(tmp_path, name, line, gold, said):
    (tmp_path / name).write_text(line + "\n")
    (tmp_path / "a.gold.txt").write_text(gold + "\n")
    with pytest.raises(InputError, match=said):
        read_word_in_context(tmp_path / name)


# -------------------------------------------------------------------------------------------------------- perplexity


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> tuple[Path, Path]:
    """A corpus, and one that is held out, of the same words."""
    home = tmp_path_factory.mktemp("corpora")
    for name, seed in (("trained", 1), ("held", 2)):
        rng = np.random.default_rng(seed)
        (home / f"{name}.txt").write_text("\n".join(" ".join(rng.choice(list("abcdefgh"), 9)) for _ in range(40)) + "\n\n")
    encode([home / "trained.txt"], home / "trained", EncodeOptions(min_count=1))
    encode([home / "held.txt"], home / "held", EncodeOptions(vocabulary=str(home / "trained")))
    return home / "trained", home / "held"


def test_the_perplexity_of_no_knowledge_is_the_number_of_words(corpora):
    trained, held = map(Corpus, corpora)
    network = random_network(TINY)
    for name in ("softmax", "softmax_bias"):
        network.parameters[name][:] = 0
    rows = {row["kind"]: row for row in perplexities(ContextualVectors(network, trained.vocabulary), held, trained)}
    assert rows["forward"]["value"] == pytest.approx(TINY.words, rel=1e-5)
    assert rows["backward"]["value"] == pytest.approx(TINY.words, rel=1e-5)
    assert rows["forward"]["covered"] == 400
    ids = [np.where(part + 3 < TINY.words, part + 3, 2) for part in np.split(held.shard(0).ids, 40)[:40]]
    counts = [np.where(part + 3 < TINY.words, part + 3, 2) for part in np.split(trained.shard(0).ids, 40)]
    for n, kind in ((1, "single words"), (3, "Kneser-Ney 3")):
        wanted = perplexity(NgramModel.of(counts, n, TINY.words, (0, 1)).probabilities(ids))
        assert rows[kind]["value"] == pytest.approx(wanted)


def test_a_corpus_of_other_words_and_a_model_without_a_softmax_are_refused(corpora, vectors):
    held = Corpus(corpora[1])
    with pytest.raises(UsageError, match="has no softmax"):
        perplexities(vectors, held)
    with pytest.raises(UsageError, match="a different vocabulary"):
        perplexities(ContextualVectors(random_network(), Vocabulary.from_words(["z"], [1])), held)


# ------------------------------------------------------------------------------------------------------------- probe


def test_probe_reads_its_files_and_writes_the_mix(tmp_path, corpora):
    network, words = random_network(), Corpus(corpora[0]).vocabulary
    save_model(tmp_path / "elmo.h5", elmo_data(network, words, {"import": imported_config(TINY)}, {}))
    (tmp_path / "a.conllu").write_text(CONLLU)
    (tmp_path / "pairs.tsv").write_text("a b\ta c\t1\nb\tc d\t2\n")
    (tmp_path / "text.txt").write_text("a b c\n")
    (tmp_path / "mix.json").write_text("an older one")
    wic = in_context(tmp_path / "wic.data.txt", [("1-0", ". Banks", "banks , too", "T")])
    rows = probe(
        tmp_path / "elmo.h5",
        tags=(tmp_path / "a.conllu", tmp_path / "a.conllu"),
        senses=tmp_path / "text.txt",
        pairs=[tmp_path / "pairs.tsv"],
        word_in_context=(wic, wic),
        perplexity=[corpora[1]],
        options=ProbeOptions(plain=True, save_mix=str(tmp_path / "mix.json"), force=True),
    )
    assert len(LayerMix.open(tmp_path / "mix.json").scores) == 3
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    assert datasets == ["perplexity of held", "pseudo-words", "tags of a", "pairs", "words in context of wic"]
    tags = next(row for row in rows if row["dataset"] == "tags of a")
    assert tags["covered"] == 4  # the full stop is not plain


def test_a_mix_takes_no_place_of_another_file(tmp_path):
    """A device that was replaced would be gone for all programs."""
    (tmp_path / "mix.json").write_text("dear")
    (tmp_path / "pipe").symlink_to("/dev/null")
    for name, says in (("mix.json", "exists; pass force=True"), ("pipe", "is a link")):
        with pytest.raises(UsageError, match=says):
            probe(tmp_path / "elmo.h5", tags=("a", "a"), options=ProbeOptions(save_mix=str(tmp_path / name)))
    assert (tmp_path / "mix.json").read_text() == "dear"


def test_a_mix_without_tags_is_refused(tmp_path):
    with pytest.raises(UsageError, match="learned from tags"):
        probe(tmp_path / "elmo.h5", options=ProbeOptions(save_mix="mix.json"))
