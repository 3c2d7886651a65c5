"""The kinds of models from which documents can be inferred, as options."""

from __future__ import annotations

KINDS = {
    "PV-DBOW": {},
    "PV-DBOW with words": {"words": "on"},
    "PV-DM": {"architecture": "dm"},
    "PV-DM by sum": {"architecture": "dm", "combine": "sum"},
    "PV-DM by concatenation": {"architecture": "dm", "combine": "concat"},
    "PV-DBOW, hs": {"loss": "hs"},
    "PV-DBOW with words, hs": {"words": "on", "loss": "hs"},
    "PV-DM, hs": {"architecture": "dm", "loss": "hs"},
    "PV-DM by sum, hs": {"architecture": "dm", "combine": "sum", "loss": "hs"},
    "PV-DM by concatenation, hs": {"architecture": "dm", "combine": "concat", "loss": "hs"},
}

ALL_KINDS = {
    **{name: ("doc2vec", kind) for name, kind in KINDS.items()},
    "PV-DBOW, softmax": ("doc2vec", {"loss": "softmax"}),
    "PV-DM, softmax": ("doc2vec", {"loss": "softmax", "architecture": "dm"}),
    "JoSE": ("jose", {"margin": 0.3}),
    "JoSE, joint": ("jose", {"hinge": "joint", "margin": 0.8}),
}
