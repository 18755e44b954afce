"""`ctxkit plugins new`: the beginning of a plugin."""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ctxkit.cli.output import console, counted, print_json
from ctxkit.cli.settings import Settings


class KindOption(str, Enum):
    """What a plugin can be, as one types it."""

    VECTOR_STORE = "vector-store"
    EMBEDDER = "embedder"
    TOKENIZER = "tokenizer"
    LLM = "llm"


def new_plugin(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What users will write as provider=NAME.")],
    kind: Annotated[KindOption, typer.Option("--kind", help="What the plugin is.")],
    into: Annotated[
        Path, typer.Option("--into", metavar="DIR", help="The folder that gets the new one.", show_default="here")
    ] = Path(),
) -> None:
    """Write a whole distribution, ctxkit-NAME, with a small component that works, its tests, README and CI.

    Nothing is overwritten. The component is a place to begin: put your own library into it, and run the tests.

    \b
    Examples:
      ctxkit plugins new acme --kind vector-store
      ctxkit plugins new acme --kind embedder --into ~/projects --json
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.plugins.installing import pip_install  # noqa: PLC0415
    from ctxkit.scaffold import KEYWORDS, render, write  # noqa: PLC0415 - start-up stays light

    kinds = {keyword: kind for kind, keyword in KEYWORDS.items()}
    project = render(name, kinds[kind.value])
    folder = write(project, into)
    # With the leading ./, neither pip nor `plugins check` takes the folder for the name of a distribution.
    place = str(folder) if folder.is_absolute() else f"./{folder}"
    following = [
        # Together with the suite, which a clone of the project has and no index may have yet.
        f"python -m {pip_install('ctxkit-conformance')} -e {shlex.quote(f'{place}[dev]')}",
        f"python -m pytest {shlex.quote(place)}",
        f"ctxkit plugins check {shlex.quote(place)}",
    ]
    if settings.as_json:
        print_json(
            {
                "name": name,
                "kind": project.kind,
                "distribution": project.names.distribution,
                "folder": str(folder.absolute()),
                "files": list(project.files),
                "next": following,
            }
        )
        return
    out = console()
    out.print(f"Wrote {counted(len(project.files), 'file')} to {folder}:", style="bold", soft_wrap=True)
    for path in project.files:
        out.print(f"  {path}", style="dim", soft_wrap=True)
    out.print("Next:", style="bold")
    for line in following:
        out.print(f"  {line}", soft_wrap=True)
