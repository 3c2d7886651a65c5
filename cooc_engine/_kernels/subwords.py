"""The character n-grams of words, and the hash by which fastText's program finds the rows of words and n-grams."""

from __future__ import annotations

from numba import int8, int64, uint8, uint32, void

from cooc_engine._kernels.jit import array, helper, kernel, out

FNV_START, FNV_PRIME = 2166136261, 16777619


@helper
def character_end(text, begin, end):
    """Return where the UTF-8 character at `begin` ends, with all continuation bytes that follow, however many there are."""
    begin += 1
    while begin < end and text[begin] & 0xC0 == 0x80:
        begin += 1
    return begin


@kernel(void(array(uint8), array(int64), int64, int64, array(int64), out(int64), out(int64)))
def list_ngrams(text, offsets, shortest, longest, starts, begins, ends):
    """List the n-grams of words that stand between boundary characters: n-gram i is text[begins[i]:ends[i]].

    Those of word w have the numbers starts[w]:starts[w + 1]; if there are none, the word is skipped. They are ordered by their
    first character, then by length; a boundary character alone is none of them.
    """
    for word in range(offsets.shape[0] - 1):
        first, last = offsets[word], offsets[word + 1]
        n, begin = starts[word], first
        while begin < last and n < starts[word + 1]:
            end = begin
            for length in range(1, longest + 1):
                if end == last:
                    break
                end = character_end(text, end, last)
                is_boundary = length == 1 and (begin == first or end == last)
                if length >= shortest and not is_boundary:
                    begins[n], ends[n] = begin, end
                    n += 1
            begin = character_end(text, begin, last)


@kernel(void(array(uint8), array(int64), array(int64), out(uint32)))
def hash_parts(text, begins, ends, hashes):
    """Set hashes[i] to the 32-bit FNV-1a hash of text[begins[i]:ends[i]] (Fowler, Noll and Vo), as in fastText's program.

    It extends the sign of each byte before the xor, so for bytes from 128 on it is not the published FNV-1a.
    """
    for i in range(begins.shape[0]):
        value = uint32(FNV_START)
        for place in range(begins[i], ends[i]):
            value = uint32((value ^ uint32(int8(text[place]))) * uint32(FNV_PRIME))
        hashes[i] = value
