"""Kneser and Ney's n-grams with dictionaries, for one word at a time."""

from __future__ import annotations

from collections import Counter

BEGIN, END = 0, 1


class KneserNey:
    def __init__(self, sentences, n, words):
        self.n, self.words = n, words
        self.counts = [Counter() for _ in range(n + 1)]
        for sentence in sentences:
            line = [BEGIN] * (n - 1) + [*sentence, END]
            for at in range(n - 1, len(line)):
                self.counts[n][tuple(line[at - n + 1 : at + 1])] += 1
        for size in range(n - 1, 0, -1):
            for gram in self.counts[size + 1]:
                self.counts[size][gram[1:]] += 1

    def p(self, word, history):
        if not history:
            counts = self.counts[1]
            return (counts[word,] + 0.5) / (sum(counts.values()) + 0.5 * self.words)
        counts = self.counts[len(history) + 1]
        lower = self.p(word, history[1:])
        follows = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == history}
        if not follows:
            return lower
        once, twice = ([*counts.values()].count(n) for n in (1, 2))
        discount = once / (once + 2 * twice) if once else 0.5
        kept = max(follows.get(word, 0) - discount, 0)
        return (kept + discount * len(follows) * lower) / sum(follows.values())

    def sentence(self, sentence):
        line = [BEGIN] * (self.n - 1) + [*sentence, END]
        return [self.p(line[at], tuple(line[at - self.n + 1 : at])) for at in range(self.n - 1, len(line))]
