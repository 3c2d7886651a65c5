"""Tokenizers: the words that they give, by a slow twin; the options that go with them; what is recorded."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.command import QUIET
from support.corpora import assert_twin
from support.tokenizing import encode_text, options, some_text, words
from twins.tokenizing import naive_words

from cooc_engine.cli.app import main
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.merge import merge
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.formats.glove_counts import export_glove
from cooc_engine.models.file import open_model
from cooc_engine.pipeline.stages import append, encoded
from cooc_engine.runtime.options import from_mapping
from cooc_engine.storage.outputs import write_manifest
from cooc_engine.text.tokenizers import DEFAULT_PATTERN, joined, lines_of, tokenizer

# ---------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("Hello, world!", ["Hello", "world"]),
        ("don't rock'n'roll l’été 'quoted' dogs'", ["don't", "rock'n'roll", "l’été", "quoted", "dogs"]),
        ("state-of-the-art -x- a--b co‐op", ["state-of-the-art", "x", "a", "b", "co‐op"]),
        ("3.14, 1,000.5 2024. v2.0 .5 1.a 10.", ["3.14", "1,000.5", "2024", "v2.0", "5", "1", "a", "10"]),
        ("snake_case a I", ["snake_case", "a", "I"]),
        ("हिन्दी में ลิ้น می‌خواهم", ["हिन्दी", "में", "ลิ้น", "می‌خواهم"]),
        (unicodedata.normalize("NFD", "café Å"), [unicodedata.normalize("NFD", w) for w in ("café", "Å")]),
        ("日本語 и Ελλάδα", ["日本語", "и", "Ελλάδα"]),
        ("a\u00a0b\u3000c\u2028d\x85e\x1ff", list("abcdef")),
        ("?! ... €", []),
        ("", []),
    ],
)
def test_the_default_pattern(text, wanted):
    assert words(text, "regex") == wanted


def test_a_pattern_is_recorded_and_a_group_is_the_word():
    assert options("regex").pattern == DEFAULT_PATTERN
    assert options("whitespace").pattern is None
    assert words("a1 b2", "regex", pattern=r"([a-z])\d") == ["a", "b"]
    assert words("Hi, C++!", "regex", pattern=r"\w+|[^\w\s]") == ["Hi", ",", "C", "+", "+", "!"]
    assert words("a bb ccc", "regex", pattern=r"(?u)\b\w\w+\b") == ["bb", "ccc"]
    assert words("漢字 kana かな", "regex", pattern=r"\p{Han}|[^\W\p{Han}]+") == ["漢", "字", "kana", "かな"]


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a**", r"\p{nothing}", "(?P<a>b)(?P<a>c)(", "[[:foo:]]("])
def test_a_pattern_that_does_not_compile(pattern):
    with pytest.raises(UsageError, match=r"pattern '.*' is not a regular expression \(") as caught:
        options("regex", pattern=pattern)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["", r"\b", "^", "$", "()", r"\w*", "x?", r"(?=\w)", r"(?<=1)", "a|"])
def test_a_pattern_that_matches_nothing(pattern):
    with pytest.raises(UsageError, match=r"matches the empty string, and no word is empty"):
        options("regex", pattern=pattern)


@pytest.mark.parametrize(
    "given, says",
    [
        (
            {"tokenizer": "spacy"},
            "'spacy'; it must be one of whitespace, regex, jieba, or a Python function as module:function",
        ),
        ({"tokenizer": "a:b:c"}, "module:function"),
        ({"tokenizer": ":f"}, "module:function"),
        ({"tokenizer": "a/b:f"}, "module:function"),
        ({"tokenizer": 3}, "must be of type str"),
        ({"tokenizer": "__main__:f"}, "put the function in a module of its own"),
        ({"tokenizer": "jieba", "pattern": "x"}, "pattern is for tokenizer='regex'; the tokenizer is jieba"),
        ({"pattern": "x"}, "the tokenizer is whitespace"),
        ({"hmm": "off"}, "hmm is for tokenizer='jieba'; the tokenizer is whitespace"),
        ({"tokenizer": "jieba", "hmm": "no"}, "must be one of on, off"),
        ({"tokenizer": "regex", "pattern": "(a)(b)"}, "has 2 groups"),
        ({"reserved": "no"}, "must be one of refuse, keep"),
    ],
)
def test_options_that_make_no_sense(given, says):
    with pytest.raises(UsageError) as caught:
        EncodeOptions(**given)
    assert says in str(caught.value)


def test_lower_case_comes_first_and_is_that_of_unicode():
    assert words("ΌΔΟΣ Straße İ ÉTÉ", "whitespace", lowercase=True) == ["όδος", "straße", "i̇", "été"]
    assert words("ABC def", "regex", pattern="[a-z]+", lowercase=True) == ["abc", "def"]
    assert words("Ab cD", "mine:split", lowercase=True) == ["ab", "cd"]
    assert words("AB", "whitespace") == ["AB"]


@settings(deadline=None, max_examples=200)
@given(some_text, st.booleans())
def test_white_space_is_cut_alike_as_words_and_as_lines(text, lowercase):
    record = EncodeOptions(lowercase=lowercase).record()
    wanted = [word.decode() for word in (text.lower() if lowercase else text).encode().split()]
    assert tokenizer(record)(text) == wanted
    assert lines_of(record)(text) == " ".join(wanted).encode() == joined(wanted)


@settings(deadline=None, max_examples=300)
@given(some_text)
def test_the_default_pattern_by_its_twin(text):
    assert words(text, "regex") == naive_words(text)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(st.sampled_from("ab é\u00a0\t\n\0\v\ud800"), max_size=3), max_size=4))
def test_what_is_no_word_is_not_joined(given):
    good = all(word and not re.search("[ \t-\r\0\ud800]", word) for word in given)
    if good:
        assert joined(given) == " ".join(given).encode()
    else:
        with pytest.raises(ValueError, match=r"a word|surrogates"):
            joined(given)


def test_lower_case_of_white_space():
    corpus = encode_text("\ufeffA b\u00a0C\r\n\nΣΑΣ é\x1cÉ\r x", EncodeOptions(min_count=1, lowercase=True))
    docs = [["a", "b\u00a0c"], [], ["σας", "é\x1cé", "x"]]
    assert_twin(corpus, [[word.encode() for word in document] for document in docs])


# -------------------------------------------------------------------------------------------------------------- Chinese


CHINESE = [
    "我来到北京清华大学，",
    "他来到了网易杭研大厦。",
    "小明硕士毕业于中国科学院计算所，后在日本京都大学深造 Python 3.14！",
]


def test_jieba_with_and_without_its_hidden_markov_model():
    pytest.importorskip("jieba", exc_type=ImportError)
    first = ["我", "来到", "北京", "清华大学", "，"]
    for hmm, second in (("on", ["网易", "杭研", "大厦"]), ("off", ["网易", "杭", "研", "大厦"])):
        cut = tokenizer(options("jieba", hmm=hmm).record())
        assert cut(CHINESE[0]) == first
        assert [word for word in cut(CHINESE[1]) if word[0] in "网杭研大"] == second
        assert cut("我\u3000来到 \t北京\r") == ["我", "来到", "北京"]


def test_chinese_from_text_to_neighbours(capfd):
    pytest.importorskip("jieba", exc_type=ImportError)
    Path("text").write_text("\n".join(CHINESE * 4) + "\n", encoding="utf-8")
    run = [
        ["encode", "text", "--output", "corpus", "--tokenizer", "jieba", "--min-count", "2", "--threads", "2"],
        ["count", "corpus", "--output", "cooc", "--window", "5"],
        ["train", "glove", "cooc", "--output", "model.h5", "--vector-size", "8", "--epochs", "3"],
    ]
    for command in run:
        assert main([*command, *QUIET]) == 0
    out, err = capfd.readouterr()
    assert err == "" and out.count("\n") == 3
    assert main(["nn", "model.h5", "北京", "--topn", "3"]) == 0
    assert capfd.readouterr().out.splitlines()[0] == "北京"
    corpus = Corpus("corpus")
    cut = tokenizer(corpus.manifest["options"])
    assert_twin(corpus, [[word.encode() for word in cut(line)] for line in CHINESE * 4])
    assert open_model(Path("model.h5")).config["encode"]["tokenizer"] == "jieba"
    off = encode("text", "off", options("jieba", hmm="off", min_count=2))
    assert "杭研" in corpus.vocabulary and "杭研" not in off.vocabulary


def test_a_package_that_is_missing(monkeypatch):
    Path("jieba.py").write_text("raise ImportError('not here')")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    with pytest.raises(UsageError, match=r'needs the package jieba: pip install "cooc_engine\[zh\]"'):
        encode_text("a", options("jieba"))


# ------------------------------------------------------------------------------------------------ reserved, old, joined


@pytest.mark.parametrize("word", ["<unk>", "</s>"])
@pytest.mark.parametrize("name", ["whitespace", "mine:split"])
def test_reserved_words_are_refused_unless_they_are_kept(word, name, tmp_path, monkeypatch):
    text = f"a b {word} c\n" * 7 + f"{word}x x{word} {word}{word}\n" * 9
    with pytest.raises(InputError, match=rf"^text: {word} is a word of the text \(7 times\), which .* pass reserved='keep'$"):
        encode_text(text, options(name))
    assert not Path("corpus").exists() and not Path("corpus.part").exists()
    rare = encode_text(text, options(name, min_count=8))  # too rare to be a word of the vocabulary
    assert rare.vocabulary.find(word) == -1 and rare.vocabulary.find(word + "x") >= 0
    kept = encode_text(text, options(name, reserved="keep"))
    assert kept.vocabulary.counts[kept.vocabulary.find(word)] == 7
    cooc = count(kept, "cooc")
    if word == "<unk>":
        with pytest.raises(UsageError, match="holds the word <unk>, which GloVe's programs append"):
            export_glove(cooc, "records", "vocab")
        assert not Path("records").exists()
    Path("more").write_text(text)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    assert (
        append(cooc, "more", "both", trust_tokenizer=True).entries == cooc.entries
    )  # the vocabulary is given, and has been accepted


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=12, unique=True), st.text("ab", min_size=1, max_size=3)
)
def test_a_word_is_found_without_an_index(given, asked):
    vocabulary = Vocabulary.from_words(given, range(len(given)))
    assert vocabulary.find(asked) == (given.index(asked) if asked in given else -1)


def test_a_corpus_without_the_younger_options_is_taken_as_made_with_their_defaults():
    corpus = encode_text("a b\n", EncodeOptions(min_count=1))
    fields = {key: value for key, value in corpus.manifest.items() if key not in ("format", "version")}
    old = {key: fields["options"][key] for key in ("min_count", "max_vocab", "vocabulary", "tokenizer")}
    write_manifest(corpus.path, "corpus", 1, {**fields, "options": old})
    assert Corpus("corpus").options == from_mapping(EncodeOptions, old, "") == EncodeOptions(min_count=1)
    assert encoded(["text"], Path("corpus"), EncodeOptions(min_count=1)).manifest["options"] == old
    with pytest.raises(UsageError, match=r"corpus: was made with different lowercase .false, now true.; pass force=True"):
        encoded(["text"], Path("corpus"), EncodeOptions(min_count=1, lowercase=True))
    with pytest.raises(UsageError, match=r"corpus: was made with different tokenizer .*, pattern; pass force=True"):
        encoded(["text"], Path("corpus"), options("regex"))
    write_manifest(corpus.path, "corpus", 1, {**fields, "options": {**old, "newer": 1}})
    with pytest.raises(FormatError, match="options of another version"):
        _ = Corpus("corpus").options


def test_counts_of_texts_that_were_cut_in_other_ways_are_not_added():
    base = encode_text("a b\n", EncodeOptions(min_count=1))
    other = encode("text", "other", options("regex"))
    assert base.vocabulary.digest == other.vocabulary.digest
    parts = [count(base, "one"), count(other, "two")]
    with pytest.raises(
        UsageError, match="two: its text was split into words with a different tokenizer, pattern from that of one"
    ):
        merge(parts, "sum")
    assert isinstance(merge([parts[0], parts[0]], "sum"), Cooc)
