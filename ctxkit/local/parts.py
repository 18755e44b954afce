"""Parts of the engine for the author of a store that is none of its indexes: the public home of their names.

What callers pass is checked here as every store checks it, what a collection was made with is compared with what is
asked for, and scores, filters in memory and the search for words are those of the engine.
"""

from __future__ import annotations

from ctxkit.local import text as words
from ctxkit.local.arguments import check_options, checked_ids, checked_score, checked_text, deletion, query_vectors
from ctxkit.local.arrays import Growing
from ctxkit.local.catalog import check_same
from ctxkit.local.columns import Columns, fields_of
from ctxkit.local.faults import Place, translated
from ctxkit.local.layout import sync
from ctxkit.local.scan import check_scan
from ctxkit.local.search import similarity

__all__ = [
    "Columns",
    "Growing",
    "Place",
    "check_options",
    "check_same",
    "check_scan",
    "checked_ids",
    "checked_score",
    "checked_text",
    "deletion",
    "fields_of",
    "query_vectors",
    "similarity",
    "sync",
    "translated",
    "words",
]
