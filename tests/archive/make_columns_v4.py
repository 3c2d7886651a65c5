"""Makes cooc-v3 and columns-v4.h5: counts whose columns have names of their own, and a model of them, which must open for ever.

Run once a version: the files, not this program, are what later versions are tested against.
"""

from __future__ import annotations

from pathlib import Path

import scipy.sparse

from cooc_engine import import_matrix, train

ARCHIVE = Path(__file__).parent

if __name__ == "__main__":
    counts, items = scipy.sparse.csr_array([[2, 0, 1], [0, 1, 3]]), ["tea", "green tea", "milk"]
    cooc = import_matrix(counts, ["ann", "bob"], ARCHIVE / "cooc-v3", columns=items)
    train("pmi-svd", cooc, ARCHIVE / "columns-v4.h5", vector_size=2)
