"""Times one solver alone on the PPMI matrix (cds 0.75) of a co-occurrence directory; prints one JSON object.

    python scripts/svd_race.py COOC SOLVER      SOLVER: ours, sklearn, svds, product, scipy-product

All take the same single-precision matrix. Residuals are max(|A v - s u|, |A^T u - s v|) / s in double precision. `svds` runs
to the tolerance of `ours`; the products are one multiplication by a matrix of 112 columns.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse

from cooc_engine.counts.directory import Cooc
from cooc_engine.linalg.sparse import panels, panels_of
from cooc_engine.linalg.svd import Krylov, Operator, krylov
from cooc_engine.matrix.pmi import transform_cooc
from cooc_engine.models.matrix_options import PmiSvdOptions
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.progress import Stage
from cooc_engine.storage.scratch import in_memory

COLUMNS = 112


def ours(matrix, csr, options, pool):
    state = Krylov.empty(matrix, options.vector_size, options.seed)
    found = krylov(state, options.tol, options.max_passes, pool)
    return found.left, found.singular_values, found.right


def sklearn(matrix, csr, options, pool):
    from sklearn.utils.extmath import randomized_svd

    left, values, right = randomized_svd(csr, options.vector_size, n_iter=4, random_state=options.seed)
    return left, values, right.T


def svds(matrix, csr, options, pool):
    from scipy.sparse.linalg import svds

    left, values, right = svds(csr, options.vector_size, tol=options.tol, random_state=options.seed)
    return left[:, ::-1], values[::-1], right[::-1].T


def product(matrix, csr, options, pool):
    right = panels_of(np.random.default_rng(1).standard_normal((csr.shape[1], COLUMNS), np.float32))
    result = panels(len(right), csr.shape[0])
    return lambda: matrix.rows.multiply(right, result, pool)


def scipy_product(matrix, csr, options, pool):
    right = np.random.default_rng(1).standard_normal((csr.shape[1], COLUMNS), np.float32)
    return lambda: csr @ right


SOLVERS = {"ours": ours, "sklearn": sklearn, "svds": svds}
PRODUCTS = {"product": product, "scipy-product": scipy_product}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cooc")
    parser.add_argument("solver", choices=[*SOLVERS, *PRODUCTS])
    parser.add_argument("--vector-size", type=int, default=100)
    parser.add_argument("--threads", type=int, default=usable_cores())
    given = parser.parse_args()
    options = PmiSvdOptions(vector_size=given.vector_size)
    with ThreadPoolExecutor(given.threads) as pool:
        stage = Stage("transform", None, "entries")
        matrix = Operator(*transform_cooc(Cooc(given.cooc), options, in_memory, 0, pool, stage))
        rows = matrix.rows
        csr = scipy.sparse.csr_array((rows.values, rows.columns, rows.offsets.astype(np.int32)), rows.shape)
        result = {"entries": rows.entries}
        if given.solver in PRODUCTS:
            work = PRODUCTS[given.solver](matrix, csr, options, pool)
            work()
            result["seconds"] = timed(work)[0]
        else:
            result["seconds"], found = timed(lambda: SOLVERS[given.solver](matrix, csr, options, pool))
            result["residuals"] = residuals(csr, *found)
    print(json.dumps(result))


def timed(work):
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def residuals(csr, left, values, right):
    left, right = left.astype(np.float64), right.astype(np.float64)
    gaps = np.linalg.norm(csr @ right - left * values, axis=0), np.linalg.norm(csr.T @ left - right * values, axis=0)
    return (np.maximum(*gaps) / values).tolist()


if __name__ == "__main__":
    main()
