"""What a user can set on the tokenizers."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from ctxkit.errors import TokenizerError
from ctxkit.interfaces import BackendConfig, TokenizerCapabilities
from ctxkit_tiktoken.encodings import DEFAULT, DEFINITIONS, encoding_for
from ctxkit_tiktoken.tokenizer_file import gives_text_back
from ctxkit_tiktoken.vocabulary import find_vocabulary


class TiktokenConfig(BackendConfig):
    """Which encoding counts: that of `model`, or `encoding` itself; without either, o200k_base.

    `directory` is the only place where the vocabulary is looked for; without it, tiktoken's cache and copies in
    installed packages. Where the vocabulary is missing, the estimating tokenizer stands in, which never counts fewer
    tokens; with `exact` that is an error instead.
    """

    model: str | None = Field(default=None, min_length=1)
    encoding: str | None = None
    directory: Path | None = None
    exact: bool = False

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str | None) -> str | None:
        if encoding is not None and encoding not in DEFINITIONS:
            raise ValueError(f"{encoding!r} is no encoding; choose one of {', '.join(DEFINITIONS)}")
        return encoding

    @model_validator(mode="after")
    def _agree(self) -> TiktokenConfig:
        if self.model is None:
            return self
        try:
            of_model = encoding_for(self.model)
        except TokenizerError as error:
            if self.encoding is None:
                raise ValueError(f"{error.message.removesuffix('.')}; name one with encoding") from error
            return self
        if self.encoding not in {None, of_model}:
            raise ValueError(f"the model {self.model!r} uses {of_model}, not {self.encoding}; leave one of them out")
        return self

    def encoding_name(self) -> str:
        """Return the name of the chosen encoding."""
        if self.encoding is not None:
            return self.encoding
        return DEFAULT if self.model is None else encoding_for(self.model)

    def capabilities(self) -> TokenizerCapabilities:
        """Return what the tokenizer can do with the vocabularies that are on this machine now."""
        found = self.exact or find_vocabulary(self.encoding_name(), self.directory) is not None
        return TokenizerCapabilities(exact=found, encodes=found)


class HuggingFaceConfig(BackendConfig):
    """Which tokenizer.json counts: `file` is the file, or the folder of a model that holds one.

    `concatenation_bound` is how many tokens a text may have beyond the sum of its two halves; which bound holds
    depends on the vocabulary.
    """

    file: Path
    concatenation_bound: int = Field(default=16, ge=0)

    def capabilities(self) -> TokenizerCapabilities:
        """Return whether ids give the text back with this file; False where it cannot be read."""
        return TokenizerCapabilities(exact=True, encodes=gives_text_back(self.file))
