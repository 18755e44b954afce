"""Moving collections, memories first of all, between stores, files and models without losing a thing."""

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
