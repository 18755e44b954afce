"""The contract of an embedder, sentence by sentence; docs/contract.md is made from this."""

from __future__ import annotations

from typing import Final

from ctxkit_conformance.marks import Clause

DECLARATIONS: Final = Clause(
    "embedder-declarations",
    "dimension is the length of every vector and equals the one in the capabilities, where that is not None; normalized"
    " says whether every vector has length 1, and equals the declared one. What the BackendSpec announces is what the"
    " configuration declares for its default options.",
    "Read both from the model that is loaded, answer capabilities() from the configuration, and announce the same.",
)
SHAPE: Final = Clause(
    "embedder-shape",
    "embed_documents returns a finite float32 array of shape (n, d), and (0, d) for no texts; embed_query returns one"
    " of shape (d,).",
    "Convert at the end with numpy.asarray(vectors, numpy.float32), and answer no texts before the model is asked.",
)
UNIT_LENGTH: Final = Clause(
    "embedder-unit-length",
    "Where normalized is true, every vector has length 1, that of the empty text and of a query too.",
    "Divide by the norm after everything else, and give a text without tokens a fixed direction.",
)
ANY_TEXT: Final = Clause(
    "embedder-any-text",
    "Every str is accepted and has a finite vector: empty, white space, any script, NUL, lone surrogates.",
    "Replace surrogates before the text is encoded, and mind texts that have no token at all.",
)
LONG_TEXT: Final = Clause(
    "embedder-long-text",
    "max_tokens says how many tokens of a text count; None means all of them, whatever its length. Of a longer text the"
    " rest is ignored where the capability truncates is declared; otherwise it raises EmbedderError.",
    "Set max_tokens to what the model's tokenizer really keeps, embed the parts of a long text and average them, or"
    " refuse it.",
)
BATCHES: Final = Clause(
    "embedder-batches",
    "Row i belongs to text i, and is the vector that the text has alone: it depends neither on the other texts of the"
    " batch nor on how many there are.",
    "Undo a sort by length before returning, mask the padding, and look at the last, smaller batch.",
)
DETERMINISTIC: Final = Clause(
    "embedder-deterministic",
    "The same text gives the same vector in every call, every instance and every process.",
    "Put the model into evaluation mode, seed what is random, and never use hash() of a str.",
)
FINGERPRINT: Final = Clause(
    "embedder-fingerprint",
    "fingerprint is a non-empty str that changes if and only if the vectors do: the same in every instance and process"
    " of one configuration, another one for options that change a vector.",
    "Make it of model, revision, pooling, dimension and every other option that plays a part, and of nothing else.",
)
MEANING: Final = Clause(
    "embedder-meaning",
    "A paraphrase is closer than an unrelated text, also to the query: of the suite's English examples at least 80 %."
    " Without the capability semantic, a misspelled text is closer than another one.",
    "Check the pooling, the prefixes that the model was trained with, and that queries and documents share a space; an"
    " embedder of spellings declares semantic=False.",
)
THREADS: Final = Clause(
    "embedder-threads",
    "Several threads may use one embedder, the first use included, and each gets what it would get alone.",
    "Keep what belongs to a call in local variables, and put a lock around loading and around a library that needs it.",
)
NO_ALIASING: Final = Clause(
    "embedder-no-aliasing",
    "The texts are never changed; what was returned is the caller's own: changing it changes no later answer, and no"
    " later call changes it.",
    "Return a new array from every call, also from a cache.",
)
ERRORS: Final = Clause(
    "embedder-errors",
    "A failure is an EmbedderError with a fix. So is whatever is no str where a text is expected, and one str or bytes"
    " in place of a list of texts; nothing is embedded then.",
    "Check the types first, and raise EmbedderError from whatever the library raises.",
)
OFFLINE: Final = Clause(
    "embedder-offline",
    "An embedder that declares offline never touches the network; another one raises EmbedderError when there is none.",
    "Load the model from local files only, or declare offline=False and catch the library's connection errors.",
)
LIFECYCLE: Final = Clause(
    "embedder-lifecycle",
    "Closing twice is fine and concerns one instance only; after it a call answers as before or raises EmbedderError."
    " An embedder is its own context manager.",
    "Release what the instance holds, not what the class or the module holds.",
)
CONFIGURATION: Final = Clause(
    "embedder-configuration",
    "The configuration refuses options that it does not know.",
    "Derive it from ctxkit.interfaces.BackendConfig and leave its model_config alone.",
)
