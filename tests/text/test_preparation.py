"""What is done to a text before it is cut into words: HTML, normalisation, lists of words; and that models remember it."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.command import QUIET
from support.tokenizing import encode_text, options, words

from cooc_engine.cli.app import main
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.models.file import ModelData, save_model
from cooc_engine.text.preparation import plain_text
from cooc_engine.text.tokenizers import CUT, tokenizer
from cooc_engine.vectors.query import Vectors

# ------------------------------------------------------------------------------------------------------------------ HTML


@pytest.mark.parametrize(
    "given, wanted",
    [
        ("<b>H</b><sub>2</sub>O caf&eacute;<br>au lait", "H2O café au lait"),
        ("Great.<br /><br />Really", "Great.  Really"),
        ("a<p class='x'\nid=y>b</P>c", "a b c"),
        ("x<script>if (a < b) {}</script>y<STYLE>p {}</style >z<script>never closed", "x y z "),
        ("a<!-- b --> c <!-- never closed", "a  c  "),
        ("<!DOCTYPE html><?xml version='1.0'?>a", "  a"),
        ("fish &amp; chips &#8364;5 &#x20AC; &nbsp;x&nbsp;y", "fish & chips €5 €  x y"),
        ("2 < 3 and 4 > 3, a <3 you, &nosuch; & &;", "2 < 3 and 4 > 3, a <3 you, &nosuch; & &;"),
        ("&lt;b&gt; is a tag", "<b> is a tag"),
        ("&#0; &#xD800; &#" + "9" * 5000 + ";", "\ufffd \ufffd " + chr(0xFFFD) + "9" * 4993 + ";"),
    ],
)
def test_html_is_read_as_text(given, wanted):
    assert plain_text(given) == wanted


@settings(deadline=None, max_examples=200)
@given(st.text(st.sampled_from("<>&;!-/#x09a script\n"), max_size=60))
def test_any_text_can_be_read_as_html(text):
    found = plain_text(text)
    assert found == text or "<" in text or "&" in text
    assert plain_text(f"tea <b>{text.replace('<', '').replace('&', '')}") == "tea " + text.replace("<", "").replace("&", "")


@pytest.mark.parametrize("piece", ["<", "<a ", "<!--", "<script", "</script ", "&#", "&a", "<!", "<a <script>"])
def test_hostile_html_takes_no_longer_than_other_text(piece):
    assert len(plain_text(piece * 100_000)) <= len(piece) * 100_000, "in time that grows with the square, this takes minutes"


def test_html_and_entities_are_no_words_of_a_corpus():
    corpus = encode_text("<p>Tea&nbsp;&amp; tea</p>\n<br/>TEA\n", options("whitespace", html=True, lowercase=True))
    assert sorted(corpus.vocabulary.words) == ["&", "tea"] and corpus.documents == 2
    assert corpus.vocabulary.counts.tolist() == [3, 1]


# --------------------------------------------------------------------------------------------------- characters and words


def test_characters_that_are_written_in_two_ways_become_one():
    both = f"über {unicodedata.normalize('NFD', 'über')} \ufb01n fin １９"
    assert words(both, "whitespace", normalize="NFC") == ["über", "über", "\ufb01n", "fin", "１９"]
    assert words(both, "regex", normalize="NFKC") == ["über", "über", "fin", "fin", "19"]
    assert len(encode_text(both, options("whitespace", normalize="NFKC")).vocabulary) == 3


def test_marks_and_joiners_alone_are_no_words():
    assert words("👩‍👩‍👧 ❤️ \u200d \u0301 a\u200db me\u0301", "regex") == ["a\u200db", "me\u0301"]


def test_stop_words_are_prepared_as_the_text_is_and_leave_it_before_windows_are_laid():
    Path("stop").write_text("\ufeffThe\n\n of \ncafe\u0301\n", encoding="utf-8")
    chosen = options("whitespace", stop_words="stop", lowercase=True, normalize="NFC")
    corpus = encode_text("The art of THE café\nof the\n", chosen)
    assert corpus.vocabulary.words == ["art"] and corpus.tokens == 1 and corpus.documents == 2
    assert corpus.manifest["options"]["stop_words"] == "The\nof\ncafe\u0301\n", "the words are recorded, not the file"
    assert words("the art of of art", "regex", stop_words="of\n") == ["the", "art", "art"]


def test_a_list_may_be_longer_than_an_argument_of_a_program():
    Path("stop").write_text("".join(f"word{n}\n" for n in range(30_000)))
    corpus = encode_text("word7 word29999 word30000", options("whitespace", stop_words="stop"), threads=2)
    assert corpus.vocabulary.words == ["word30000"]


def test_jieba_knows_the_words_of_a_dictionary():
    pytest.importorskip("jieba", exc_type=ImportError)
    Path("dict").write_text("云计算 5 n\n小明硕士\n", encoding="utf-8")
    text = "小明硕士学习云计算"
    assert "小明硕士" not in words(text, "jieba") and "云计算" not in words(text, "jieba")
    assert words(text, "jieba", user_dict=Path("dict").read_text()) == ["小明硕士", "学习", "云计算"]
    corpus = encode_text(text, options("jieba", user_dict="dict"))
    assert sorted(corpus.vocabulary.words) == sorted(["小明硕士", "学习", "云计算"])
    assert tokenizer(corpus.manifest["options"])(text) == ["小明硕士", "学习", "云计算"]


# The recipe of the guide: an elided article or pronoun is a word of its own.
ELISIONS = r"(?i:\b(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu)['’])|\w+(?:['’‐-]\w+)*"


def test_french_elisions_by_a_pattern():
    found = words("L'été, qu'il aujourd’hui presqu'île jusqu’à l’eau-de-vie d'or", "regex", pattern=ELISIONS)
    wanted = ["L'", "été", "qu'", "il", "aujourd’hui", "presqu'île", "jusqu’", "à", "l’", "eau-de-vie", "d'", "or"]
    assert found == wanted
    assert ELISIONS in (Path(__file__).parents[2] / "docs/guides/text.md").read_text()


@pytest.mark.parametrize(
    "given, says",
    [
        ({"normalize": "nfc"}, "normalize is 'nfc'; it must be one of NFC, NFKC"),
        ({"html": "yes"}, "must be of type bool"),
        ({"user_dict": "x"}, "user_dict is for tokenizer='jieba'; the tokenizer is whitespace"),
        (
            {"tokenizer": "jieba", "user_dict": "a\ntea 5\n茶 1000000000000 n\n"},
            "has the line '茶 1000000000000 n'; a frequency has",
        ),
        ({"tokenizer": "jieba", "user_dict": "tea 5\n" + "1.00 " * 9999}, "has a line of 49,995 characters; a word for jieba"),
    ],
)
def test_options_of_preparation_that_make_no_sense(given, says):
    with pytest.raises(UsageError) as caught:
        options(**{"tokenizer": "whitespace", **given})
    assert says in str(caught.value)


def test_lists_that_cannot_be_read():
    with pytest.raises(InputError, match=r"^nosuch: no such file$"):
        encode_text("a", options("whitespace", stop_words="nosuch"))
    Path("latin").write_bytes(b"caf\xe9\n")
    with pytest.raises(InputError, match=r"^latin: byte 0xe9 is not UTF-8 \(at byte 3\)$"):
        encode_text("a", options("whitespace", stop_words="latin"))
    Path("big").write_bytes(b"word\n" * (1 << 20))
    with pytest.raises(InputError, match=r"^big: has more than 4,194,304 bytes"):
        encode_text("a", options("whitespace", stop_words="big"))
    assert not Path("corpus").exists() and not Path("corpus.part").exists()


# ------------------------------------------------------------------------------------------------------ what models remember


def save(record) -> str:
    vectors = {"words": np.eye(2, 3, dtype=np.float32)}
    data = ModelData("imported", Vocabulary.from_words(["café", "tea"], [2, 1]), vectors, "w", {"encode": record}, {})
    save_model(Path("m.h5"), data)
    return "m.h5"


def test_a_question_is_prepared_as_the_text_was(capsys):
    Path("stop").write_text("tea\n")
    record = options("whitespace", html=True, normalize="NFC", lowercase=True, stop_words="stop").loaded().record()
    kv = Vectors.open(save(record))
    assert kv.sentence_vector("<i>CAFE\u0301</i>&nbsp;tea").tolist() == [1, 0, 0]
    assert main(["sentence-vector", "m.h5", "Caf&eacute; <b>Tea", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vector"] == [1, 0, 0]


@pytest.mark.parametrize("name", ["stop_words", "user_dict"])
def test_a_record_names_no_file_to_read(name):
    Path("secret").write_text("tea\n")
    kv = Vectors.open(save({"tokenizer": "jieba", name: "secret"}))
    with pytest.raises(FormatError, match="does not record how its text was split"):
        kv.sentence_vector("tea")


@pytest.mark.parametrize("record", [{"normalize": "NFX"}, {"normalize": 3}, {"stop_words": 3}, {"user_dict": ["a"]}])
def test_a_record_of_another_shape_is_an_error(record):
    with pytest.raises(FormatError, match="does not record how its text was split"):
        Vectors.open(save(record)).sentence_vector("tea")


def test_new_text_is_prepared_as_the_counted_one_and_other_counts_are_not_added():
    Path("stop").write_text("the\n")
    Path("text").write_text("<p>the tea the tea\n" * 3)
    command = ["--min-count", "1", "--html", "--stop-words", "stop", *QUIET]
    assert main(["encode", "text", "--output", "corpus", *command]) == 0
    assert main(["count", "corpus", "--output", "cooc", *QUIET]) == 0
    Path("stop").unlink()
    assert main(["append", "cooc", "text", "--output", "both", *QUIET]) == 0
    assert Cooc("both").encoding.stop_words == "the\n" and Cooc("both").manifest["tokens"] == 12
    encode("text", "plain", EncodeOptions(tokenizer="whitespace", vocabulary="cooc"))
    assert main(["count", "plain", "--output", "other", *QUIET]) == 0
    assert main(["merge", "cooc", "other", "--output", "sum", *QUIET]) == 2


def test_a_corpus_is_kept_while_the_list_has_the_same_words(capsys):
    Path("text").write_text("a b a b\n" * 9)
    job = '[encode]\ntexts = ["../text"]\nmin-count = 1\nstop-words = "stop"\n'
    Path("jobs").mkdir()
    Path("jobs/job.toml").write_text(job)
    Path("jobs/stop").write_text("a\n")
    assert main(["run", "jobs/job.toml", *QUIET]) == 0
    made = Path("jobs/job/corpus/manifest.json").stat().st_mtime_ns
    assert main(["run", "jobs/job.toml", *QUIET]) == 0
    assert Path("jobs/job/corpus/manifest.json").stat().st_mtime_ns == made
    Path("jobs/stop").write_text("b\n")
    assert main(["run", "jobs/job.toml", *QUIET]) == 2
    assert "made with different [encode] stop-words" in capsys.readouterr().err


def test_the_options_that_cut_are_all_in_the_record():
    assert {*CUT} <= {*options("whitespace").record()}
