"""What a collection is called at Chroma, and what it says of itself there."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ctxkit.errors import ConfigError, FormatVersionError
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Metric
from ctxkit_chroma.faults import BACKEND, Scene

FORMAT_VERSION: Final = 1
DESCRIPTION: Final = "ctxkit"  # the key of a collection's metadata
LEASE: Final = "ctxkit-lease-"  # how the names of collections begin that are no collections but locks
SPACES: Final[Mapping[Metric, str]] = {"cosine": "ip", "dot": "ip", "l2": "l2"}

# The oldest version that is supported allows 63 characters, later ones 512.
_PLAIN: Final = re.compile(r"[a-zA-Z0-9](?!.*\.\.)[a-zA-Z0-9._-]{1,61}[a-zA-Z0-9]")
_PREFIX: Final = "ctxkit-"
_SLUG_LENGTH: Final = 24


def chroma_name(name: str) -> str:
    """Return the name itself where Chroma allows it, else one that is made of it; distinct for distinct names."""
    if _PLAIN.fullmatch(name) and not name.startswith(_PREFIX) and not _is_address(name):
        return name
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_SLUG_LENGTH].strip("-")
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"{_PREFIX}{slug}-{digest}" if slug else f"{_PREFIX}{digest}"


def described(spec: CollectionSpec) -> dict[str, str]:
    """Return the metadata of a collection."""
    content = {"format": FORMAT_VERSION, "spec": spec.model_dump(mode="json")}
    return {DESCRIPTION: json.dumps(content, sort_keys=True)}


def is_ours(metadata: Mapping[str, Any] | None) -> bool:
    """Whether a collection was made by this plugin."""
    return isinstance((metadata or {}).get(DESCRIPTION), str)


def spec_of(metadata: Mapping[str, Any] | None, scene: Scene) -> CollectionSpec:
    """Return what a collection was made with; raises ConfigError for one that is not ours, FormatVersionError."""
    text = (metadata or {}).get(DESCRIPTION)
    if not isinstance(text, str):
        raise ConfigError(
            f"Chroma has a collection {scene.collection!r} that ctxkit did not make.",
            fix="use another collection name, and copy its records with `upsert`.",
            backend=BACKEND,
            collection=scene.collection,
        )
    try:
        content = json.loads(text)
        version, spec = content["format"], content["spec"]
    except (ValueError, KeyError, TypeError) as error:
        raise scene.corrupt("the collection's description is damaged") from error
    check_format(version, scene)
    try:
        return CollectionSpec.model_validate(spec)
    except ValueError as error:
        raise scene.corrupt("the collection's description is damaged") from error


def check_format(version: object, scene: Scene) -> None:
    """Raise FormatVersionError for another version than ours."""
    if version != FORMAT_VERSION:
        raise FormatVersionError(
            f"{scene.where} has format version {version!r}; this version of ctxkit-chroma reads {FORMAT_VERSION}.",
            fix="install a newer ctxkit-chroma.",
            backend=BACKEND,
            collection=scene.collection,
        )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
