"""Moving collections, memories first of all, between stores, files and models without losing a thing.

Names are imported when they are first used: each command that opens a store asks here where it is, few move it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctxkit.moving.digests import ContentDigest, record_digest
    from ctxkit.moving.exporting import export
    from ctxkit.moving.importing import import_export
    from ctxkit.moving.in_place import drop_old, reembed
    from ctxkit.moving.moves import migrate
    from ctxkit.moving.places import StorePlace, configured_place, found_place, parsed_place
    from ctxkit.moving.reembedding import Reembedding
    from ctxkit.moving.report import MoveReport
    from ctxkit.moving.settling import Handover, Order
    from ctxkit.moving.switching import stopped, switched

__all__ = [
    "ContentDigest",
    "Handover",
    "MoveReport",
    "Order",
    "Reembedding",
    "StorePlace",
    "configured_place",
    "drop_old",
    "export",
    "found_place",
    "import_export",
    "migrate",
    "parsed_place",
    "record_digest",
    "reembed",
    "stopped",
    "switched",
]

_HOME_OF = {
    "ContentDigest": "digests",
    "Handover": "settling",
    "MoveReport": "report",
    "Order": "settling",
    "Reembedding": "reembedding",
    "StorePlace": "places",
    "configured_place": "places",
    "drop_old": "in_place",
    "export": "exporting",
    "found_place": "places",
    "import_export": "importing",
    "migrate": "moves",
    "parsed_place": "places",
    "record_digest": "digests",
    "reembed": "in_place",
    "stopped": "switching",
    "switched": "switching",
}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
