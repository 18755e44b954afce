"""The contract of a vector store, sentence by sentence; docs/contract.md is made from this."""

from __future__ import annotations

from typing import Final

from ctxkit_conformance.marks import Clause

ANNOUNCEMENT: Final = Clause(
    "announcement",
    "A backend is found by its entry-point name, and its capabilities are immutable JSON values: those that its"
    " configuration gives for the default options. Importing it touches no network; a missing dependency is a"
    " MissingDependencyError with the line that installs it; instances share nothing.",
    "Return a BackendSpec from the hook, make its capabilities and those of the configuration in one place, import"
    " heavy libraries in the module of the component, and keep state on the instance, not on the class or the module.",
)
CAPABILITIES: Final = Clause(
    "capabilities",
    "What is declared works and is tested. What is not declared raises UnsupportedError, never a silent approximation.",
    "Declare less and raise UnsupportedError with a fix, or implement what is declared.",
)
IDS: Final = Clause(
    "ids",
    "An id is a non-empty str of any code points but lone surrogates, up to 512 bytes in UTF-8, kept exactly: no case"
    " folding, no normalisation.",
    "Use the id as an opaque key; check a batch with ctxkit.records.normalize_batch.",
)
TEXT: Final = Clause(
    "text",
    "A text is any str without lone surrogates, empty and NUL included, and comes back as it was.",
    "Store text as UTF-8 with its length, not as a C string.",
)
VECTORS: Final = Clause(
    "vectors",
    "A vector is d finite float32, subnormals kept. float64, integer, non-contiguous and read-only input is accepted;"
    " NaN, infinity, a wrong dimension and, under cosine, a zero vector are refused.",
    "Convert with ctxkit.records.normalize_batch before the library sees the array, and keep the vector as it came,"
    " not the normalised one.",
)
OPTIONAL_VECTORS: Final = Clause(
    "optional-vectors",
    "With the capability optional_vectors a record without a vector is stored, scanned, counted and found by text,"
    " and is never a hit of query; without it such a record is refused.",
    "Keep such records out of the index but in the table, or declare no optional_vectors.",
)
METADATA: Final = Clause(
    "metadata",
    "Metadata has non-empty str keys that do not begin with $, and values that are str, bool, 64-bit int, finite"
    " float, or a non-empty list of one of these; anything else is refused. Types survive: 1, 1.0 and True stay three"
    " values.",
    "Encode the type beside the value; JSON keeps 1 and 1.0 apart only if the reader does too.",
)
SCORES: Final = Clause(
    "scores",
    "Higher is better. cosine is clipped to [-1, 1]; dot is the product; l2 is 1 / (1 + d) with d the unsquared"
    " distance. Right to 1e-4 relative and 1e-6 absolute, also for very long and very short vectors.",
    "Convert the library's distance to the score of the metric; many libraries return squared or negated distances.",
)
ORDER: Final = Clause(
    "order",
    "Hits come best first, equal scores by id in code-point order; identical vectors score identically.",
    "Sort by (-score, id) after the search, and fetch past k when the k-th score has ties.",
)
LAW_OF_K: Final = Clause(
    "law-of-k",
    "query returns exactly min(k, number of records with a vector that pass the filter), then drops those below"
    " min_score: after deletes, at any selectivity, when k exceeds the count.",
    "Filter inside the search, drop deleted rows from the index's answer before counting, and search exactly when the"
    " library returned fewer.",
)
MIN_SCORE: Final = Clause(
    "min-score",
    "A hit stays if and only if score >= min_score.",
    "Compare the score that is returned, after the k nearest were chosen.",
)
NEAREST: Final = Clause(
    "nearest",
    "An exact store returns the true nearest records. An approximate one may return near ties, never fewer, and finds"
    " at least 0.9 of the true ten on clustered data, also under filters and after churn; one that declares exact"
    " finds all.",
    "Raise the index's search effort by default, search exactly under selective filters, or declare exact=False.",
)
BATCHES: Final = Clause(
    "batch-queries",
    "query of n vectors returns n results, each what the query alone would return; a 1-D vector counts as one query.",
    "Check how the library lays out the results of a batch, and answer one Hits per row.",
)
QUERIES: Final = Clause(
    "invalid-queries",
    "k below 1, NaN, a wrong dimension, and a zero vector under cosine raise InvalidQueryError, on an empty collection"
    " too.",
    "Check with ctxkit.records.normalize_queries before looking whether there is anything to search.",
)
ATOMIC: Final = Clause(
    "atomic-batches",
    "A batch is atomic: with one bad record nothing is written. The same id twice in a batch is refused, an empty batch"
    " does nothing.",
    "Check the whole batch before the first write, and write in one transaction.",
)
UPSERT: Final = Clause(
    "upsert",
    "Upsert replaces the whole record: text, vector and metadata.",
    "Delete the old record in the same transaction; many engines merge metadata instead.",
)
DELETE: Final = Clause(
    "delete",
    "delete returns how many records existed; ids and filter together mean the intersection; what is missing counts 0;"
    " neither and an empty filter are refused.",
    "Count what was there before it goes, not what was asked for.",
)
GET: Final = Clause(
    "get",
    "get answers in the order of the ids, repeats included, None where there is no record.",
    "Look the ids up as a mapping and walk the caller's list.",
)
NO_ALIASING: Final = Clause(
    "no-aliasing",
    "Inputs are never mutated; changing them later, or changing what was returned, changes nothing stored.",
    "Copy arrays, lists and mappings on the way in and on the way out.",
)
READ_WRITES: Final = Clause(
    "reads-see-writes",
    "A write that returned is seen by the next read, of every handle that the declared concurrency allows; with"
    " consistency 'eventual', within consistency_bound seconds.",
    "Make readers check for newer data before they answer, or declare 'eventual' with a bound that holds.",
)
SCAN: Final = Clause(
    "scan",
    "scan yields each record that existed throughout exactly once, also while others are written; limit is exact.",
    "Page by a key that does not move, not by offset.",
)
ORDERED_SCAN: Final = Clause(
    "ordered-scan",
    "With the capability ordered_scan, order_by a field gives numbers, then strings, then records without it; ties by"
    " id; descending turns the values round.",
    "Sort by (kind of value, value, id), or declare no ordered_scan.",
)
TEXT_SEARCH: Final = Clause(
    "text-search",
    "text_query finds records by their words, inside the filter, at most k, best first: 'bm25' with positive scores,"
    " 'rank' in order only. It follows every upsert and delete.",
    "Update the text index in the transaction of the records, or declare no text_search.",
)
FILTERS: Final = Clause(
    "filters",
    "A filter has one meaning, that of ctxkit.filters.matches. int and float compare as numbers, exactly; every other"
    " comparison across types is false, and True is not 1.",
    "Translate each operator for each type of value, or evaluate candidates with ctxkit.filters.matches.",
)
COMPLEMENTS: Final = Clause(
    "complements",
    "$ne, $nin and $not are exact complements: a record without the field matches them.",
    "In SQL add OR field IS NULL; in an engine without it, search everything but the positive set.",
)
MALFORMED_FILTERS: Final = Clause(
    "malformed-filters",
    "An unknown operator, an operand of the wrong shape and an empty $and or $or raise InvalidFilterError that names"
    " the place; {} and None mean everything, but delete(where={}) is refused.",
    "Parse with ctxkit.filters.parse before anything else.",
)
FIELD_NAMES: Final = Clause(
    "field-names",
    "A field name and a value may hold anything; nothing is interpolated into a query language.",
    "Bind names and values as parameters, or keep a table of field names.",
)
COLLECTIONS: Final = Clause(
    "collections",
    "Collections of any name are listed sorted, described as they were made, isolated from each other, and dropped"
    " whole; what does not exist raises CollectionNotFoundError, also on a handle that was open.",
    "Keep a catalogue with the specification, and encode names for the file system or the server.",
)
MISMATCH: Final = Clause(
    "mismatch",
    "Opening with another dimension, metric or fingerprint raises DimensionMismatchError, MetricMismatchError or"
    " FingerprintMismatchError, with another type for a declared field ConfigError, and with a new field of which"
    " another type is stored InvalidRecordError. A mismatch changes nothing and never makes a collection anew.",
    "Store the specification with the collection, compare it at open, look at stored values before a field is added,"
    " and roll back whatever a refused open began.",
)
ERRORS: Final = Clause(
    "errors",
    "Every error comes from the tree of ctxkit.errors and says backend, collection and fix; no raw library error, no"
    " AssertionError, no native crash.",
    "Catch the library's exceptions at the edge and raise ours from them.",
)
CLOSING: Final = Clause(
    "closing",
    "Closing twice is fine; any other call after close raises StoreClosedError.",
    "Set a flag in close and check it first in every method.",
)
HOUSEKEEPING: Final = Clause(
    "housekeeping",
    "flush, optimize, stats and health change no answer, and their figures are true. version is another number after"
    " every write and the same until then, or always None.",
    "Build the new index aside and swap it; count rows where the truth is; count writes in their own transaction.",
)
PERSISTENCE: Final = Clause(
    "persistence",
    "With the capability persistent a closed collection opens again with every record equal, also from a moved"
    " directory and one with spaces and letters beyond ASCII in its name.",
    "Store paths relative to the directory, and write everything before close returns.",
)
SECOND_OPENER: Final = Clause(
    "second-opener",
    "A second opener works as the declared concurrency says, or gets StoreLockedError.",
    "Take an advisory lock on a file beside the data, or declare what really works.",
)
FORMAT: Final = Clause(
    "format-version",
    "Data of a format that this version does not know raises FormatVersionError or StoreCorruptError and is left as it"
    " was.",
    "Write a version into the data and check it before anything is changed.",
)
CRASH: Final = Clause(
    "crash",
    "With the capability crash_safe, after the process is killed at any moment every acknowledged write is there,"
    " nothing is there that was not attempted, and batches are whole.",
    "Return from a write only after it is committed to disk, and make a batch one transaction.",
)
DAMAGE: Final = Clause(
    "damage",
    "With the capability detects_corruption a truncated, altered or deleted file gives a typed error or full recovery,"
    " never wrong answers. Without it answers may be wrong; an error is one of ctxkit.errors all the same, and the"
    " process lives.",
    "Catch whatever reading a damaged file raises, and raise StoreCorruptError from it. To detect damage, keep a"
    " checksum beside what is stored and verify it before the data is used.",
)
FULL_DISK: Final = Clause(
    "full-disk",
    "When the disk is full a write raises StoreFullError, the old state stays readable, and writing works again once"
    " there is room.",
    "Roll the transaction back and translate ENOSPC and EFBIG.",
)
THREADS: Final = Clause(
    "threads",
    "Several threads may use one handle: no torn record, no lost write, no deadlock.",
    "Lock around whatever the library does not, and keep a connection per thread where it must be.",
)
PROCESSES: Final = Clause(
    "processes",
    "Several processes may use one collection as far as concurrency declares: 'multi-writer' all of them read and"
    " write, 'single-writer' one writes and the others read, 'single-process' a second opener is refused.",
    "Test with real processes; declare 'single-process' and lock if readers go stale or writes are lost.",
)
FORK: Final = Clause(
    "fork",
    "After a fork the child's use of the handle works or raises a typed error, and the parent's goes on; nothing is"
    " corrupted.",
    "Remember the process id and reopen connections when it changes. A lock that another thread held at the fork stays"
    " locked in the child, the library's own too: raise a typed error there without taking any, in close() too, or hold"
    " the lock over the fork with os.register_at_fork.",
)
ASYNC: Final = Clause(
    "async",
    "The asynchronous face answers as the synchronous one does, does not block the event loop, and a cancelled call"
    " leaves the store usable.",
    "Run blocking work on an executor; never hold a lock across an await.",
)
RESOURCES: Final = Clause(
    "resources",
    "Opening and closing leaves no file descriptor, thread or memory behind, and a batch of 10 000 records works"
    " unless max_batch declares less.",
    "Close what open made, and release the index in close.",
)
SEQUENCES: Final = Clause(
    "sequences",
    "Any sequence of calls leaves the store in the state that the contract's sentences add up to.",
    "Replay the steps that are printed; they are the shortest ones that fail.",
)
