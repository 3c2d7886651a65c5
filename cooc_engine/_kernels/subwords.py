"""The character n-grams of words, and the hashes by which the programs fastText and floret find their rows."""

from __future__ import annotations

from numba import int8, int64, uint8, uint32, uint64, void

from cooc_engine._kernels.jit import array, helper, kernel, out

FNV_START, FNV_PRIME = 2166136261, 16777619
MURMUR_SEED, MURMUR_1, MURMUR_2 = 2166136261, 0x87C37B91114253D5, 0x4CF5AD432745937F


@helper
def character_end(text, begin, end):
    """Return where the UTF-8 character at `begin` ends, with all continuation bytes that follow, however many there are."""
    begin += 1
    while begin < end and text[begin] & 0xC0 == 0x80:
        begin += 1
    return begin


@kernel(void(array(uint8), array(int64), int64, int64, int64, array(int64), out(int64), out(int64)))
def list_ngrams(text, offsets, shortest, longest, whole, starts, begins, ends):
    """List the n-grams of words that stand between boundary characters: n-gram i is text[begins[i]:ends[i]].

    Those of word w have the numbers starts[w]:starts[w + 1]; if there are none, the word is skipped. They are ordered by their
    first character, then by length; a boundary character alone is none of them. With `whole` the word itself comes before them.
    """
    for word in range(offsets.shape[0] - 1):
        first, last = offsets[word], offsets[word + 1]
        n, begin = starts[word], first
        if whole and n < starts[word + 1]:
            begins[n], ends[n] = first, last
            n += 1
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


@helper
def rotated(value, bits):
    """Return a uint64 rotated to the left."""
    return (value << uint64(bits)) | (value >> uint64(64 - bits))


@helper
def stirred(value):
    """Return the final mix of 64 bits of MurmurHash3."""
    value = (value ^ (value >> uint64(33))) * uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> uint64(33))) * uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> uint64(33))


@helper
def packed(text, begin, end):
    """Return at most 8 bytes as a little-endian uint64."""
    value = uint64(0)
    for place in range(begin, min(end, begin + 8)):
        value |= uint64(text[place]) << uint64(8 * (place - begin))
    return value


@kernel(void(array(uint8), array(int64), array(int64), out(uint32, 2)))
def murmur_parts(text, begins, ends, hashes):
    """Set hashes[i] to 32-bit words of the MurmurHash3 of text[begins[i]:ends[i]] (Appleby, x64, 128 bits), 1 to 4 of them.

    The seed is that of floret's program.
    """
    for i in range(begins.shape[0]):
        begin, end = begins[i], ends[i]
        low, high = uint64(MURMUR_SEED), uint64(MURMUR_SEED)
        for place in range(begin, end, 16):
            is_full = end - place >= 16
            first, second = packed(text, place, end), packed(text, place + 8, end)
            low ^= rotated(first * uint64(MURMUR_1), 31) * uint64(MURMUR_2)
            if is_full:
                low = (rotated(low, 27) + high) * uint64(5) + uint64(0x52DCE729)
            high ^= rotated(second * uint64(MURMUR_2), 33) * uint64(MURMUR_1)
            if is_full:
                high = (rotated(high, 31) + low) * uint64(5) + uint64(0x38495AB5)
        low, high = low ^ uint64(end - begin), high ^ uint64(end - begin)
        low += high
        high += low
        low, high = stirred(low), stirred(high)
        low += high
        high += low
        for k in range(hashes.shape[1]):
            half = low if k < 2 else high
            hashes[i, k] = uint32(half >> uint64(32 * (k % 2)))
