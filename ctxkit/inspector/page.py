"""An inspection as one HTML page that holds everything it needs."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from ctxkit.errors import ConfigError
from ctxkit.inspector.document import Inspection

_SCRIPTS: Final = ("texts.js", "elements.js", "overview.js", "scores.js", "candidates.js", "timeline.js", "prompt.js")
_LAST: Final = "inspector.js"  # puts the others to work
# Inside a script element only these could end it or begin a comment; JSON has another way to write them.
_ESCAPED: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def write_html(inspection: Inspection, path: str | Path) -> None:
    """Write the page to a file; raises ConfigError when it cannot be written."""
    try:
        Path(path).write_text(as_html(inspection), encoding="utf-8", newline="\n")
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror or exc}.", fix="name another file.") from exc


def as_html(inspection: Inspection | None, *, asks: bool = False) -> str:
    """Return the page of an inspection, or of none yet; with `asks` it has a field that asks its own server.

    Its policy allows its own style and script by their digests, and no request but, with `asks`, to its own server.
    Texts stand in it as JSON, and the script shows them as text.
    """
    style = _part("inspector.css")
    script = "\n".join(_part(name) for name in (*_SCRIPTS, _LAST))
    data = json.dumps({"asks": asks, "inspection": inspection}, separators=(",", ":"))
    return Template(_part("inspector.html")).substitute(
        policy=html.escape(_policy(style, script, asks=asks)),
        title=html.escape("ctxkit inspector" if inspection is None else f"{inspection['question']:.80} – ctxkit"),
        style=style,
        script=script,
        data=data.translate(_ESCAPED),
    )


def _part(name: str) -> str:
    return (files("ctxkit.inspector") / "static" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str, *, asks: bool) -> str:
    rules = [
        "default-src 'none'",
        f"style-src '{_digest(style)}'",
        f"script-src '{_digest(script)}'",
        "img-src data:",  # the page's icon
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join([*rules, "connect-src 'self'"] if asks else rules)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
