"""The contract of a tokenizer, sentence by sentence; docs/contract.md is made from this."""

from __future__ import annotations

from typing import Final

from ctxkit_conformance.marks import Clause

DECLARATIONS: Final = Clause(
    "tokenizer-declarations",
    "name is a non-empty str that says which tokens are counted; exact equals the declared capability. What the"
    " BackendSpec announces is what the configuration declares for its default options.",
    "Name the vocabulary, for example cl100k_base, and answer capabilities() from the configuration.",
)
COUNT: Final = Clause(
    "tokenizer-count",
    "count returns the number of tokens of a text as an int, 0 for the empty one, and depends on nothing but the text.",
    "Leave the tokens out that a model puts around a text, and keep no state between calls.",
)
ANY_TEXT: Final = Clause(
    "tokenizer-any-text",
    "Every str is counted and cut: emoji, joined and combining characters, any script, NUL, lone surrogates.",
    "Replace surrogates first: text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace').",
)
SPECIAL: Final = Clause(
    "tokenizer-special-text",
    "The text of a special token, such as <|endoftext|>, is plain text: it is counted letter by letter, never refused,"
    " and becomes no special token.",
    "Pass disallowed_special=() to tiktoken, or turn special tokens off in your library.",
)
ENCODING: Final = Clause(
    "tokenizer-encoding",
    "With the capability encodes, len(encode(text)) == count(text) and decode(encode(text)) == text, a lone surrogate"
    " coming back as it was or as U+FFFD; ids that are none raise TokenizerError. Without it, both raise"
    " UnsupportedError.",
    "Add no special tokens, normalise nothing, and declare encodes only where ids give the text back.",
)
TRUNCATION: Final = Clause(
    "tokenizer-truncation",
    "truncate returns a beginning of the text, or with side='left' an end of it, cut between characters, of at most"
    " max_tokens tokens.",
    "Cut the text, not the ids: half a character decodes to U+FFFD. Count what is left before returning it.",
)
MAXIMAL: Final = Clause(
    "tokenizer-maximal",
    "What truncate returns is the longest such part: none that is up to 16 characters longer fits too. A text that fits"
    " comes back whole.",
    "Counts do not grow evenly: a word that is cut may cost more than the whole one. Try a few characters more.",
)
BOUNDS: Final = Clause(
    "tokenizer-bounds",
    "A max_tokens below 0, and a side that is neither 'left' nor 'right', raise TokenizerError with a fix.",
    "Check both before anything is cut; a negative number would slice from the other end.",
)
CONCATENATION: Final = Clause(
    "tokenizer-concatenation",
    "count(x + y) <= count(x) + count(y) + concatenation_bound, for texts as they occur and wherever they are split.",
    "Declare a larger bound; prompts are packed by it.",
)
ESTIMATE: Final = Clause(
    "tokenizer-estimate",
    "A tokenizer that declares exact=False never counts fewer tokens than cl100k_base or o200k_base on the suite's"
    " corpus, and on average at most 25 % more than the larger of them on English and 40 % on code. An exact one of"
    " either name counts the same.",
    "A share of the characters is too low for scripts other than Latin, and the number of bytes is far too high.",
)
THREADS: Final = Clause(
    "tokenizer-threads",
    "Several threads may use one tokenizer, the first use included, and each gets what it would get alone.",
    "Keep what belongs to a call in local variables, and put a lock around loading.",
)
NO_ALIASING: Final = Clause(
    "tokenizer-no-aliasing",
    "The list that encode returns is the caller's own: changing it changes no later answer.",
    "Return a copy of what a cache holds.",
)
DETERMINISTIC: Final = Clause(
    "tokenizer-deterministic",
    "The same text has the same count and the same ids in every instance and every process.",
    "Never use hash() of a str, nor the order of a set.",
)
LINEAR: Final = Clause(
    "tokenizer-linear",
    "The time for a text grows with its length, whatever is in it: a megabyte without a blank, or of nothing else, is"
    " counted and cut in seconds.",
    "Merge long pieces with a heap, avoid expressions that backtrack, and search for the cut instead of walking to it.",
)
CONFIGURATION: Final = Clause(
    "tokenizer-configuration",
    "The configuration refuses options that it does not know.",
    "Derive it from ctxkit.interfaces.BackendConfig and leave its model_config alone.",
)
