"""Where the memory of a configuration is: in a folder, or at a server that its options name."""

from __future__ import annotations

from pathlib import Path

from ctxkit.config import VectorStoreConfig
from ctxkit.errors import ConfigError
from ctxkit.moving.places import StorePlace, configured_place
from ctxkit.plugins import PluginRegistry


def memory_place(section: VectorStoreConfig, folder: Path, registry: PluginRegistry, *, named: bool) -> StorePlace:
    """Return the place of the memory: the folder, unless the backend has options of its own that name another place.

    Raises ConfigError for options that are wrong, and for a folder that somebody `named` and that is not used.
    """
    try:
        place = configured_place(section, folder, registry)
        kept_in = place.folder
    except ConfigError:
        # A backend with a host refuses a folder beside it; what else is wrong is wrong without the folder too.
        place = configured_place(section, None, registry)
        kept_in = place.folder
    if named and kept_in != folder:
        raise ConfigError(
            f"the configured store is {place.title}, which is not in {folder}.",
            fix="leave the folder out (--store, CTXKIT_STORE, store in the file), or the store's own place.",
        )
    return place
