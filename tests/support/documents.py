"""The kinds of Doc2Vec from which documents can be inferred, as options."""

from __future__ import annotations

KINDS = {
    "PV-DBOW": {},
    "PV-DBOW with words": {"words": "on"},
    "PV-DM": {"architecture": "dm"},
    "PV-DBOW with words, hs": {"words": "on", "loss": "hs"},
    "PV-DM, hs": {"architecture": "dm", "loss": "hs"},
}
