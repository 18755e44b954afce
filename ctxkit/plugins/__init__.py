"""Plugins: found through entry points, loaded one by one, and asked for by kind and name."""

from __future__ import annotations

from ctxkit.plugins.component import KINDS, Command, Component, PluginRecord
from ctxkit.plugins.known import install_line
from ctxkit.plugins.registry import PluginRegistry, get_registry

__all__ = [
    "KINDS",
    "Command",
    "Component",
    "PluginRecord",
    "PluginRegistry",
    "get_registry",
    "install_line",
]
