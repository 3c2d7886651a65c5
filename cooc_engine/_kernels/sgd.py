"""The walk over the text that feeds the training step, and the steps that were recorded to be taken later."""

from __future__ import annotations

from numba import float32, float64, int32, int64, uint64, void

from cooc_engine._kernels.barrier import TEAM, wait_for_all
from cooc_engine._kernels.basics import mix64
from cooc_engine._kernels.examples import INPUTS, OWN, TARGETS, build_example, fetch_rows, target_word
from cooc_engine._kernels.jit import array, helper, kernel, out
from cooc_engine._kernels.rules import CENTRE, CLOCK, CONTEXTS, DOCUMENT, LIST, RULE, TABLES, Rule
from cooc_engine._kernels.sampling import lay_out, seeded
from cooc_engine._kernels.step import SCRATCH, STEP_LOG, train_example

PIECE = 2048  # words laid out at a time, all with one learning rate
REPEATS = 4  # of a word in a group, as a centre
LOSS, EXAMPLES, WORDS = 0, 1, 2  # columns of the results of a part


@helper
def list_example(rule, example, words, log, part):
    """Record the example of one window for the full softmax."""
    rows, used, sizes = log.rows[part], log.used[part], example.sizes
    n, skipped = used + 2, sizes[OWN] if rule.inputs == CONTEXTS else -1
    for place in range(sizes[INPUTS]):
        for p in range(example.starts[place], example.starts[place + 1]):
            if place != skipped:
                rows[n] = example.inputs[p]
                n += 1
    rows[used] = n - used - 2
    begin = n
    for t in range(sizes[TARGETS]):
        if rule.inputs != CENTRE or t != sizes[OWN]:
            rows[n] = target_word(rule, example, words, t)
            n += 1
    rows[used + 1] = n - begin
    log.used[part] = n


# ------------------------------------------------------------------------------------------------ the walk over text


@helper
def group_end(words, begin, end):
    """Return where a group ends that begins with the word at `begin`: at `end`, or before a word that it has REPEATS times.

    All steps of a group start from the same rows. Where a text repeats a word on and on, that word's would add up, and
    overshoot: with whole groups of 32, skip-gram diverges on 20 Newsgroups.
    """
    for c in range(begin + REPEATS, end):
        repeats = 0
        for earlier in range(begin, c):
            repeats += words[earlier] == words[c]
        if repeats >= REPEATS:
            return c
    return end


@helper
def train_piece(first, begin, end, last, document, rule, tables, W, C, lr, scratch, log, part, results):
    """Train on the words begin:end of first:last; each example is trained after the next one has been built."""
    words, ahead, behind, loss, waiting, c = scratch.words, scratch.ahead, scratch.behind, 0.0, 0, begin
    while c < end or waiting > 0:
        total = 0
        if c < end:
            stop = group_end(words, c, min(c + rule.group, end))
            total, scratch.random[0] = build_example(
                rule, tables, first, last, c, stop - c, document, words, scratch.random[0], ahead
            )
            c = stop
            if total > 0 and rule.output == LIST:
                list_example(rule, ahead, words, log, part)
            elif total > 0:
                fetch_rows(ahead, W, C)
        if waiting > 0 and rule.output != LIST:
            loss += train_example(rule, tables, behind, words, W, C, lr, scratch, log, part)
        results[EXAMPLES] += total
        ahead, behind, waiting = behind, ahead, total
    results[LOSS] += loss


@helper
def document_of(offsets, position):
    """Return the document of a position: the last one that begins at it or before."""
    low, high = 0, offsets.shape[0] - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if offsets[middle] <= position:
            low = middle
        else:
            high = middle
    return low


@helper
def lay_piece(ids, offsets, begin, end, later, document, rule, tables, clock, words):
    """Lay out the next words of begin:end, at most a piece, of one document, from the given one on.

    Returns where they stop, their document, the three bounds of `lay_out` and how many are in the vocabulary, and the rate.
    """
    while offsets[document + 1] <= begin:
        document += 1
    stop = min(end, begin + PIECE, offsets[document + 1])
    thinning = mix64(mix64(uint64(clock.seed)) ^ mix64(uint64(clock.epoch)))
    first, behind, last, known = lay_out(
        ids, begin, stop, offsets[document], offsets[document + 1], tables.keep, thinning, clock.origin, rule.window, words
    )
    lr = clock.lr * (1 - (clock.done + later + clock.origin + begin) / clock.total)
    return stop, document, first, behind, last, known, float32(lr)


@helper
def rows_of_document(rule, tables, document):
    """Return the range of a document's rows, or of their places in `Tables.rows`, and how many of them are an input together.

    The tags of PV-DM are; of PV-DBOW each predicts the words by itself.
    """
    low, high = rule.document + document, rule.document + document + 1
    if rule.document < 0:
        return 0, 1, 1
    if tables.row_starts.shape[0] > 0:
        low, high = tables.row_starts[low], tables.row_starts[high]
    return low, high, max(1, high - low) if rule.mean and rule.inputs == CONTEXTS else 1


@helper
def without_words(rule):
    """Return the rule by which a document alone predicts the words; `inputs` is the first field of a rule."""
    return Rule(int64(DOCUMENT), *rule[1:])


@helper
def train_part(ids, offsets, begin, end, later, rule, tables, clock, W, C, scratch, log, part, result):
    """Train on the tokens begin:end of a shard, visited some tokens later than their place in the text tells.

    result becomes loss, examples and words. Each part has its own random generator. Windows cross the ends of parts, but never
    those of documents.
    """
    scratch.random[0] = seeded(uint64(clock.seed), clock.epoch, clock.origin + begin)
    result[:] = 0
    if log.used.shape[0] > 0:
        log.used[part] = 0
    document = document_of(offsets, begin)
    while begin < end:
        stop, document, first, behind, last, known, lr = lay_piece(
            ids, offsets, begin, end, later, document, rule, tables, clock, scratch.words
        )
        low, high, size = rows_of_document(rule, tables, clock.document + document)
        for tag in range(low, high, size):
            used = rule if tag == low else without_words(rule)  # the words are trained with the first tag alone
            train_piece(
                first, rule.window, behind, last, (tag, tag + size), used, tables, W, C, lr, scratch, log, part, result
            )  # fmt: skip
        result[WORDS] += known
        begin = stop


@helper
def take_recorded(log, parts, owner, owners, most, uses, W, C):
    """Add the recorded steps of the rows that belong to one of several owners, in the order of the parts.

    If a row has more than `most` steps, they are scaled by `most` over their number: computed against parameters that stood
    still, all of them would overshoot. uses (2, rows) is zero before and after.
    """
    for turn in range(3):
        for part in range(parts):
            for i in range(log.used[part]):
                row = int64(log.rows[part, i])
                side, row = (0, row) if row >= 0 else (1, -1 - row)
                if row % owners != owner:
                    continue
                if turn == 0:
                    uses[side, row] += 1
                elif turn == 2:
                    uses[side, row] = 0
                else:
                    target, step = W[row] if side == 0 else C[row], log.steps[part, i]
                    share = min(float32(1), float32(most) / float32(uses[side, row]))
                    for z in range(target.shape[0]):
                        target[z] += share * step[z]


@kernel(
    void(
        array(int32), array(int64), array(int64, 2), int64, int64, TEAM, RULE, TABLES, CLOCK, out(float32, 2),
        out(float32, 2), SCRATCH, STEP_LOG, int64, out(int32, 2), out(float64, 3),
    ),
    fast=True,
)  # fmt: skip
def train_batches(ids, offsets, batches, parts, size, team, rule, tables, clock, W, C, scratch, log, most, uses, results):
    """Train on batches of a shard, `parts` parts of `size` tokens each, as one thread of a team.

    batches (n, 2) are their numbers in the text and how many tokens later than their place tells they are visited;
    results[b, p] becomes loss, examples and words. If steps are recorded, they are taken when all parts of a batch are done.
    """
    last = (ids.shape[0] + size - 1) // size
    for b in range(batches.shape[0]):
        first = batches[b, 0] * parts
        count = min(parts, last - first)
        for p in range(team.rank * count // team.size, (team.rank + 1) * count // team.size):
            begin = (first + p) * size
            end = min(begin + size, ids.shape[0])
            train_part(
                ids, offsets, begin, end, batches[b, 1], rule, tables, clock, W, C, scratch, log, p, results[b, p]
            )  # fmt: skip
        if log.steps.shape[0] > 0:
            wait_for_all(team)
            take_recorded(log, count, team.rank, team.size, most, uses, W, C)
            wait_for_all(team)
