"""A module of functions that users might write as tokenizers, texts, and encoding with them in the working directory."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.text.tokenizers import tokenizer

FUNCTIONS = '''
import os, signal, sys, time

def pairs(text):
    """Pairs of letters, as a generator."""
    letters = [c for c in text if not c.isspace() and c != "\\0"]
    for a, b in zip(letters, letters[1:]):
        yield a + b

def split(text): return text.split()
def shout(text):
    print("printed", text)
    print(sys.stdin.read(), end="")
    return text.upper().split()
def repeat(text): return [repr(text).replace(" ", "_")]
def fail(text):
    if "bad" in text: raise ValueError("on two\\nlines")
    return text.split()
def string(text): return text
def nothing(text): return None
def numbers(text): return [1, 2]
def spaced(text): return ["New York"]
def empty(text): return ["", "a"]
def nul(text): return ["a\\0b"]
def surrogate(text): return ["\\ud800"]
def huge(text): return ["x" * (1 << 18)]
def die(text):
    if "die" in text: os.kill(os.getpid(), signal.SIGKILL)
    return text.split()
def leave(text): os._exit(3)
def hang(text):
    if "hang" in text:
        with open(f"pid-{os.getpid()}", "w"): pass
        while True: time.sleep(60)
    return text.split()
class Home:
    @staticmethod
    def cut(text): return text.split(",")
word = "no function"
'''


TEXT = "".join(f"w{i % 977} Ü{i % 31}, don't{chr(10) if i % 11 == 0 else ' '}" for i in range(6000))


def options(tokenizer: str, **more) -> EncodeOptions:
    return EncodeOptions(**{"min_count": 1, "tokenizer": tokenizer, **more})


def words(text: str, name: str, **more) -> list[str]:
    return tokenizer(options(name, **more).cut)(text)


def encode_text(text: str | bytes, chosen: EncodeOptions, **how) -> Corpus:
    Path("text").write_bytes(text.encode() if isinstance(text, str) else text)
    return encode("text", "corpus", chosen, force=True, **how)


some_text = st.text(st.sampled_from("aB é日𝔘ΣΑ'-.,3\t\v\r\u00a0\u3000\u2028\x85\x1c_\u0301हि"), max_size=40)
