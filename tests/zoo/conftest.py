"""Distributions made on the fly: a module, a `dist-info` and a place on sys.path, as an installer would leave them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from ctxkit.plugins import PluginRegistry

# A tokenizer that counts characters, and everything a plugin file needs to announce one.
TOKENIZER = """
    from pydantic import Field
    from ctxkit.hookspecs import hookimpl
    from ctxkit.interfaces import BackendConfig, BackendSpec, EmbedderCapabilities, Tokenizer, TokenizerCapabilities

    class Config(BackendConfig):
        width: int = Field(default=1, ge=1)

    class Characters(Tokenizer):
        name, exact, concatenation_bound = "characters", True, 0

        def __init__(self, config):
            self.config = config

        def count(self, text):
            return len(text) * self.config.width

        def truncate(self, text, max_tokens, side="right"):
            return text[:max_tokens] if side == "right" else text[-max_tokens:]

    def tokenizer(name, **changes):
        values = dict(name=name, factory=f"{__name__}:Characters", config=f"{__name__}:Config", summary="characters",
                      capabilities=TokenizerCapabilities(exact=True))
        return BackendSpec(**{**values, **changes})
"""

ANNOUNCE = """
    @hookimpl
    def ctxkit_tokenizers():
        return [tokenizer({name!r}{changes})]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on sys.path; what is imported from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def write(site: Path) -> Callable[..., Path]:
    """Write a module of the given source after the tokenizer every plugin here starts from."""

    def write_module(name: str, source: str) -> Path:
        path = site / f"{name}.py"
        path.write_text(dedent(TOKENIZER) + dedent(source), encoding="utf-8")
        return path

    return write_module


@pytest.fixture
def install(site: Path, write: Callable[..., Path]) -> Callable[..., Path]:
    """Install a distribution whose module has the given source; returns its `dist-info`."""

    def install_distribution(
        name: str, source: str, *, entry_point: str | None = None, version: str = "1.0", folder: Path | None = None
    ) -> Path:
        module = name.replace("-", "_")
        write(module, source)
        info = (folder or site) / f"{module}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        points = f"[ctxkit]\n{entry_point or name} = {module}\n"
        (info / "entry_points.txt").write_text(points, encoding="utf-8")
        return info

    return install_distribution


@pytest.fixture
def good(install: Callable[..., Path]) -> Callable[..., Path]:
    """Install a healthy distribution with one tokenizer."""

    def install_good(name: str, tokenizer: str, *, changes: str = "", **options: str) -> Path:
        return install(name, ANNOUNCE.format(name=tokenizer, changes=changes), **options)

    return install_good


@pytest.fixture
def discover(site: Path) -> Callable[..., PluginRegistry]:
    """Discover the distributions of this test, and no others, under the given environment."""

    def discover_site(*folders: Path, **environ: str) -> PluginRegistry:
        return PluginRegistry.discover(environ, path=[str(folder) for folder in (site, *folders)])

    return discover_site


@pytest.fixture
def complaints(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what the logger `ctxkit.plugins` said so far at WARNING and above."""

    def messages() -> list[str]:
        return [
            record.getMessage()
            for record in caplog.records
            if record.name == "ctxkit.plugins" and record.levelno >= logging.WARNING
        ]

    return messages
