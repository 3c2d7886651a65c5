"""The best of some scores by a heap: the kernel's, and that of libstdc++ written out, on which fastText's program rests."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
from numba import float32, int32, int64

from cooc_engine._kernels.jit import kernel, out
from cooc_engine._kernels.predict import pop_least, push_best


@kernel(int64(out(float32), int64, out(float32), out(int32)))
def kernel_heap(scores, k, heap, labels):
    """Collect the best k as `best_shares` does, sorted; returns their number."""
    size = 0
    for label in range(scores.shape[0]):
        if size < k or scores[label] >= heap[0]:
            size = push_best(heap, labels, size, k, scores[label], label)
    for left in range(size, 1, -1):
        pop_least(heap, labels, left)
    return size


def kernel_best(shares: list[float], k: int) -> list[int]:
    scores = np.log(np.array(shares, np.float32) + np.float32(1e-5))
    heap, labels = np.empty(k + 1, np.float32), np.empty(k + 1, np.int32)
    size = kernel_heap(scores, k, heap, labels)
    return labels[:size].tolist()


def above(a, b) -> bool:
    return a[0] > b[0]


def push_heap(heap: list, top: int, hole: int, value) -> None:
    parent = (hole - 1) // 2
    while hole > top and above(heap[parent], value):
        heap[hole] = heap[parent]
        hole, parent = parent, (parent - 1) // 2
    heap[hole] = value


def adjust_heap(heap: list, length: int, value) -> None:
    state = SimpleNamespace(hole=0, child=0)
    while state.child < (length - 1) // 2:
        state.child = 2 * (state.child + 1)
        if above(heap[state.child], heap[state.child - 1]):
            state.child -= 1
        heap[state.hole], state.hole = heap[state.child], state.child
    if length % 2 == 0 and state.child == (length - 2) // 2:
        state.child = 2 * (state.child + 1)
        heap[state.hole], state.hole = heap[state.child - 1], state.child - 1
    push_heap(heap, 0, state.hole, value)


def pop_heap(heap: list, length: int) -> None:
    value, heap[length - 1] = heap[length - 1], heap[0]
    adjust_heap(heap, length - 1, value)


def best(shares: list[float], k: int) -> list[int]:
    """`findKBest` and `sort_heap`."""
    heap: list[tuple[float, int]] = []
    for label, share in enumerate(shares):
        score = math.log(share + 1e-5)
        if len(heap) == k and score < heap[0][0]:
            continue
        heap.append((score, label))
        push_heap(heap, 0, len(heap) - 1, heap[-1])
        if len(heap) > k:
            pop_heap(heap, len(heap))
            heap.pop()
    for length in range(len(heap), 1, -1):
        pop_heap(heap, length)
    return [label for _, label in heap]
