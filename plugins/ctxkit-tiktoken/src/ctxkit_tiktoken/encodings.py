"""OpenAI's encodings: how each cuts text, which file holds its vocabulary, and which models use it.

Expressions, addresses, digests and special tokens are those of tiktoken 0.14 (tiktoken_ext/openai_public.py); they are
stated here because tiktoken's own way to them downloads what it does not find.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from ctxkit.errors import TokenizerError

DEFAULT: Final = "o200k_base"
_FOLDER = "https://openaipublic.blob.core.windows.net/encodings/"
_R50K_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
_CL100K_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_UPPER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
_LOWER = r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_ENDING = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K_PATTERN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_ENDING}|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Definition:
    """One encoding: its vocabulary and the expression that cuts text into pieces."""

    name: str
    file: str
    sha256: str
    pattern: str
    special_tokens: Mapping[str, int] = field(repr=False)

    @property
    def url(self) -> str:
        """Where the vocabulary is published; tiktoken's cache names the file by the SHA-1 of this."""
        return f"{_FOLDER}{self.file}"

    @property
    def breaks_lines(self) -> bool:
        """Whether the expression ends a run of blanks after its last line break."""
        return self.pattern != _R50K_PATTERN


def _harmony() -> dict[str, int]:
    names = {199998: "startoftext", 199999: "endoftext", 200002: "return", 200003: "constrain", 200005: "channel"}
    names |= {200006: "start", 200007: "end", 200008: "message", 200012: "call", 200018: "endofprompt"}
    found = {f"<|{names.get(number, f'reserved_{number}')}|>": number for number in range(199998, 201088)}
    # One number has two names there.
    return {**found, "<|reserved_200018|>": 200018}


def _definitions() -> dict[str, Definition]:
    r50k = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
    p50k = "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069"
    cl100k = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
    o200k = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
    end = {"<|endoftext|>": 50256}
    edit = {**end, "<|fim_prefix|>": 50281, "<|fim_middle|>": 50282, "<|fim_suffix|>": 50283}
    chat = {"<|endoftext|>": 100257, "<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260}
    chat["<|endofprompt|>"] = 100276
    omni = {"<|endoftext|>": 199999, "<|endofprompt|>": 200018}
    made = (
        Definition("r50k_base", "r50k_base.tiktoken", r50k, _R50K_PATTERN, end),
        Definition("p50k_base", "p50k_base.tiktoken", p50k, _R50K_PATTERN, end),
        Definition("p50k_edit", "p50k_base.tiktoken", p50k, _R50K_PATTERN, edit),
        Definition("cl100k_base", "cl100k_base.tiktoken", cl100k, _CL100K_PATTERN, chat),
        Definition("o200k_base", "o200k_base.tiktoken", o200k, _O200K_PATTERN, omni),
        Definition("o200k_harmony", "o200k_base.tiktoken", o200k, _O200K_PATTERN, _harmony()),
    )
    return {each.name: each for each in made}


DEFINITIONS: Final[Mapping[str, Definition]] = MappingProxyType(_definitions())

# Beginnings of models' names. After one comes the end, one of -:@, or, where it ends in a dot, anything.
_MODELS: Final = (
    ("gpt-oss", "o200k_harmony"),
    ("gpt-5", "o200k_base"),
    ("gpt-5.", "o200k_base"),
    ("gpt-4.5", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-4o", "o200k_base"),
    ("chatgpt-4o", "o200k_base"),
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4", "o200k_base"),
    ("codex-mini", "o200k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-3.5", "cl100k_base"),
    ("gpt-35", "cl100k_base"),  # Azure's spelling
    ("text-embedding-3", "cl100k_base"),
    ("text-embedding-ada-002", "cl100k_base"),
    ("davinci-002", "cl100k_base"),
    ("babbage-002", "cl100k_base"),
    ("text-davinci-edit", "p50k_edit"),
    ("code-davinci-edit", "p50k_edit"),
    ("text-davinci-003", "p50k_base"),
    ("text-davinci-002", "p50k_base"),
    ("code-davinci", "p50k_base"),
    ("code-cushman", "p50k_base"),
    ("davinci-codex", "p50k_base"),
    ("cushman-codex", "p50k_base"),
    *((name, "r50k_base") for name in ("text-davinci-001", "text-curie", "text-babbage", "text-ada")),
    *((name, "r50k_base") for name in ("text-similarity", "text-search", "code-search")),
    *((name, "r50k_base") for name in ("davinci", "curie", "babbage", "ada", "gpt2", "gpt-2")),
)


def encoding_for(model: str) -> str:
    """Return the name of a model's encoding.

    Dated, fine-tuned ("ft:gpt-4o:...") and prefixed ("openai/gpt-4o") names are understood; names unknown here are
    asked of the installed tiktoken. Raises TokenizerError for a model that neither knows: its tokens are not guessed.
    """
    name = model.strip().rpartition("/")[2].removeprefix("ft:")
    for beginning, encoding in _MODELS:
        rest = name.removeprefix(beginning)
        if rest != name and (beginning.endswith(".") or rest[:1] in "-:@"):
            return encoding
    found = _known_to_tiktoken(name)
    if found in DEFINITIONS:
        return found
    raise TokenizerError(
        f"no encoding is known for the model {model!r}.",
        fix=f"name one with the option encoding ({', '.join(DEFINITIONS)}), or use the tokenizer huggingface.",
        backend="tiktoken",
    )


def _known_to_tiktoken(model: str) -> str:
    """Return what the installed release says, which may be newer than this table; "" where it says nothing."""
    try:
        from tiktoken.model import encoding_name_for_model  # noqa: PLC0415 - only for a model that is not listed
    except ImportError:
        return ""
    try:
        return encoding_name_for_model(model)
    except KeyError:
        return ""
