"""Answer questions about a repository: python -m examples.coding_assistant REPOSITORY QUESTION..."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from ctxkit import Config, CtxkitError

from .assistant import CodingAssistant

SHOWN = 5


def main() -> int:
    """Bring the memory of a repository up to date, and answer each question with the places that belong to it."""
    parser = argparse.ArgumentParser(prog="python -m examples.coding_assistant", description=__doc__)
    parser.add_argument("repository", type=Path, help="the folder with the code")
    parser.add_argument("questions", nargs="*", metavar="QUESTION")
    parser.add_argument(
        "--store", type=Path, default=Path("code-memory"), help="memory's folder (default: code-memory)"
    )
    options = parser.parse_args()
    try:
        with closing(CodingAssistant(options.repository, options.store, Config.load())) as assistant:
            changes = assistant.update()
            print(f"{changes.stored} files stored, {changes.unchanged} unchanged, {changes.removed} removed")
            for question in options.questions:
                answer = assistant.ask(question)
                print(f"\n{question}")
                if answer.text:
                    print(answer.text)
                for place in answer.places[:SHOWN]:
                    print(f"  {place}")
    except CtxkitError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
