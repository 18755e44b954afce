"""A report such as a run over several components makes, with every outcome in it, for the tests of its forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from ctxkit_conformance.levels import reached
from ctxkit_conformance.marks import Clause
from ctxkit_conformance.results import CaseResult, CheckResult, ClauseText, Outcome, Report, SubjectResult
from ctxkit_conformance.stores import clauses

from ctxkit.interfaces.capabilities import FILTER_OPERATORS

METRICS = ("cosine", "dot", "l2")
FACES = ("",)

# tier -> check -> the clauses it covers, and its cases
STORE_CHECKS: Mapping[str, Mapping[str, tuple[Sequence[Clause], Sequence[str]]]] = {
    "T0": {
        "found_by_its_entry_point": ((clauses.ANNOUNCEMENT,), FACES),
        "capabilities_are_immutable": ((clauses.ANNOUNCEMENT, clauses.CAPABILITIES), FACES),
        "capabilities_are_json": ((clauses.ANNOUNCEMENT,), FACES),
        "import_touches_no_network": ((clauses.ANNOUNCEMENT,), FACES),
        "instances_share_nothing": ((clauses.ANNOUNCEMENT,), FACES),
        "missing_dependency_says_how_to_install": ((clauses.ANNOUNCEMENT, clauses.ERRORS), FACES),
    },
    "T1": {
        "round_trip_of_values": ((clauses.METADATA, clauses.TEXT), ("str", "int", "float", "bool", "list", "empty")),
        "ids_are_kept_exactly": ((clauses.IDS,), ("case", "nfc", "nfd", "zero width", "512 bytes", "slash")),
        "upsert_replaces_the_whole_record": ((clauses.UPSERT,), FACES),
        "get_keeps_the_order_of_ids": ((clauses.GET,), FACES),
        "delete_counts_what_was_there": ((clauses.DELETE,), FACES),
        "a_bad_record_leaves_nothing_written": ((clauses.ATOMIC,), ("nan", "none", "nested", "dimension", "id")),
        "inputs_may_be_changed_later": ((clauses.NO_ALIASING,), FACES),
        "results_may_be_changed": ((clauses.NO_ALIASING,), FACES),
        "scan_yields_everything_once": ((clauses.SCAN,), FACES),
        "ordered_scan": ((clauses.ORDERED_SCAN,), ("ascending", "descending")),
        "collections_are_isolated": ((clauses.COLLECTIONS,), FACES),
        "dropped_collection_says_so": ((clauses.COLLECTIONS, clauses.ERRORS), FACES),
    },
    "T2": {
        "law_of_k": ((clauses.LAW_OF_K,), tuple(f"{m}-{k}" for m in METRICS for k in (1, 10, 1000))),
        "filter_inside_the_search": ((clauses.LAW_OF_K, clauses.FILTERS), FACES),
        "scores_by_hand": ((clauses.SCORES,), METRICS),
        "scores_of_very_long_vectors": ((clauses.SCORES,), METRICS),
        "ties_across_the_boundary": ((clauses.ORDER,), METRICS),
        "min_score_is_inclusive": ((clauses.MIN_SCORE,), METRICS),
        "any_array_is_accepted": ((clauses.VECTORS,), ("float64", "int", "strided", "readonly", "fortran", "list")),
        "bad_queries_are_refused": ((clauses.QUERIES,), ("k=0", "k=-1", "nan", "inf", "dimension")),
        "batch_equals_one_by_one": ((clauses.BATCHES,), METRICS),
        "zero_queries": ((clauses.QUERIES, clauses.SCORES), METRICS),
    },
    "T3": {
        "recall_at_10": ((clauses.NEAREST,), METRICS),
        "recall_after_churn": ((clauses.NEAREST, clauses.READ_WRITES), METRICS),
        "recall_under_filters": ((clauses.NEAREST, clauses.LAW_OF_K), ("10%", "1%", "0.1%")),
        "recall_when_near_ones_are_filtered_out": ((clauses.NEAREST,), FACES),
        "many_equal_vectors": ((clauses.ORDER, clauses.NEAREST), FACES),
    },
    "T4": {
        **{
            f"operator_{name}": ((clauses.FILTERS,), ("str", "int", "float", "bool", "list"))
            for name in ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "exists", "contains")
        },
        "de_morgan": ((clauses.FILTERS,), FACES),
        "complements_match_missing_fields": ((clauses.COMPLEMENTS,), ("$ne", "$nin", "$not")),
        "malformed_filters_are_refused": ((clauses.MALFORMED_FILTERS,), ("operator", "operand", "empty and")),
        "field_names_are_not_interpreted": ((clauses.FIELD_NAMES,), ("quote", "dot", "dollar", "backtick")),
    },
    "T5": {
        "reopened_store_is_equal": ((clauses.PERSISTENCE,), FACES),
        "reopened_with_another_dimension": ((clauses.MISMATCH,), FACES),
        "moved_directory": ((clauses.PERSISTENCE,), ("spaces", "unicode")),
        "second_opener": ((clauses.SECOND_OPENER,), FACES),
        "use_after_close": ((clauses.CLOSING,), FACES),
        "unknown_format": ((clauses.FORMAT,), FACES),
    },
    "T6": {
        "killed_while_writing": ((clauses.CRASH,), FACES),
        "killed_while_optimising": ((clauses.CRASH,), FACES),
        "damaged_files": ((clauses.DAMAGE,), ("truncated", "bit flip", "deleted")),
        "full_disk": ((clauses.FULL_DISK,), FACES),
    },
    "T7": {
        "threads_writing_and_reading": ((clauses.THREADS,), FACES),
        "processes_writing_and_reading": ((clauses.PROCESSES,), FACES),
        "readers_see_new_rows": ((clauses.PROCESSES, clauses.READ_WRITES), FACES),
        "fork": ((clauses.FORK,), FACES),
    },
    "T8": {
        "law_of_k": ((clauses.LAW_OF_K,), tuple(f"{m}-{k}" for m in METRICS for k in (1, 10, 1000))),
        "scores_by_hand": ((clauses.SCORES,), METRICS),
        "round_trip_of_values": ((clauses.METADATA, clauses.TEXT), ("str", "int", "float")),
        "the_loop_is_not_blocked": ((clauses.ASYNC,), FACES),
        "cancelled_calls_leave_the_store_usable": ((clauses.ASYNC,), FACES),
    },
    "T9": {
        "opening_and_closing_leaks_nothing": ((clauses.RESOURCES,), ("descriptors", "threads", "memory")),
        "ten_thousand_records_at_once": ((clauses.RESOURCES,), FACES),
        "speed_against_the_reference": ((clauses.RESOURCES,), FACES),
    },
    "T10": {
        "any_sequence_of_calls": ((clauses.SEQUENCES,), FACES),
        "any_sequence_with_crashes": ((clauses.SEQUENCES, clauses.CRASH), FACES),
    },
}
OTHER_CHECKS: Mapping[str, tuple[str, Sequence[str]]] = {
    "embedder": (
        "E",
        ("dimension_is_true", "order_is_kept", "empty_list", "batch_equals_single", "normalised_as_declared",
         "every_string_is_finite", "same_in_another_process", "paraphrases_are_closer", "no_network_when_offline"),
    ),
    "tokenizer": ("K", ("count_equals_encode", "decode_restores", "truncate_never_exceeds", "never_under_counts")),
    "llm": ("L", ("success", "stream", "rate_limited", "server_error_then_success", "hang", "keys_are_nowhere")),
}  # fmt: skip

Verdict = dict[str, Any]


def case(name: str, outcome: Outcome = "passed", **more: Any) -> CaseResult:
    """Return one case."""
    return CaseResult(case=name, outcome=outcome, **{"seconds": 0.004 + len(name) / 1000, **more})


def check(tier: str, name: str, covered: Sequence[Clause], cases: Sequence[CaseResult]) -> CheckResult:
    """Return one check."""
    texts = [ClauseText(**vars(clause)) for clause in covered]
    plain = name.replace("_", " ")
    meaning = f"A failure means that a user cannot rely on {plain}: answers differ from those of another backend."
    return CheckResult(name=name, tier=tier, meaning=meaning, clauses=texts, cases=list(cases))


def store_checks(verdicts: Mapping[str, Verdict]) -> list[CheckResult]:
    """Return the checks of a store; `verdicts` says by "T2 law_of_k" what came of those that did not pass.

    A verdict is what all the cases of a check share, or with `only` those whose names begin so.
    """
    found = []
    for tier, checks in STORE_CHECKS.items():
        for name, (covered, names) in checks.items():
            verdict = {"outcome": "passed", **verdicts.get(f"{tier} {name}", {})}
            only = verdict.pop("only", "")
            cases = [case(each, **verdict) if each.startswith(only) else case(each) for each in names]
            found.append(check(tier, name, covered, cases))
    return found


JOURNAL = """# 12 earlier calls
store = AcmeStore.open(CollectionSpec('law', dimension=3, metric='cosine'), config)
store.upsert([Record('near000', '', [1.0, 0.0, 0.001], {}), Record('near001', '', [1.0, 0.0, 0.001]), ... 500])
store.upsert([Record('far', '', [-1.0, 0.0, 0.0], {'keep': True})])
store.query([1, 0, 0], 3, where={'keep': True})  # [Hits([])]"""
SEGFAULT = """the process died: signal SIGSEGV
Fatal Python error: Segmentation fault

Current thread 0x00007f1d2c5fb740 (most recent call first):
  File "acme_store/engine.py", line 214 in _search_batch
  File "acme_store/store.py", line 97 in query
""" + "\n".join(f'  File "pluggy/_callers.py", line {121 + n} in _multicall' for n in range(24))

BROKEN: Mapping[str, Verdict] = {
    "T1 ids_are_kept_exactly": {
        "only": "nf", "outcome": "failed",
        "message": "the id 'e\\u0301cole' came back as '\\xe9cole'\nassert '\\xe9cole' == 'e\\u0301cole'",
        "reproduction": "store.upsert([Record('e\\u0301cole', '', [1, 0, 0])])\nstore.get(['e\\u0301cole'])  # [None]",
    },
    "T1 round_trip_of_values": {
        "only": "bool", "outcome": "failed",
        "message": "metadata {'flag': True} came back as {'flag': 1}\nassert <class 'int'> is <class 'bool'>",
    },
    "T2 law_of_k": {
        "outcome": "failed", "reproduction": JOURNAL,
        "message": "query(k=10) returned 7 hits, but 10 of the 500 records pass the filter\nassert 7 == 10\n"
                   " +  where 7 = len(Hits(ids=['a', 'b', ...], scores=[0.99, 0.98, ...]))",
    },
    "T2 filter_inside_the_search": {
        "outcome": "failed", "reproduction": JOURNAL,
        "message": "a filter that one record passes found 0 hits, not 1\nassert [] == ['far']",
    },
    "T2 scores_by_hand": {
        "only": "l2", "outcome": "failed",
        "message": "l2 scored 0.03846, which is 1 / (1 + d squared), not 1 / (1 + d) = 0.16667",
        "reproduction": "store.upsert([Record('a', '', [6, 0, 0])])\nstore.query([1, 0, 0], 1)  # [Hits(['a'])]",
    },
    "T2 zero_queries": {"outcome": "crashed", "only": "cosine", "message": SEGFAULT},
    "T3 recall_under_filters": {
        "only": "0.1%", "outcome": "failed",
        "message": "recall@10 is 0.214 where 0.1 % of 20 000 records pass, the contract asks for 0.9",
    },
    "T4 operator_eq": {
        "only": "bool", "outcome": "failed",
        "message": "Falsifying example: filter {'a': True} matched the record {'a': 1}\nassert {'r1', 'r7'} == {'r7'}",
        "reproduction": "where={'a': True}\nrecords={'r1': {'a': 1}, 'r7': {'a': True}}",
    },
    "T4 field_names_are_not_interpreted": {
        "only": "quote", "outcome": "failed",
        "message": "OperationalError: near \"'\": syntax error <b>not bold</b> </script><script>alert(1)</script>",
    },
    "T5 second_opener": {"outcome": "hung", "message": "no end after 120 seconds\nThread 0x00007f1d2c5fb740 in lock"},
    "T6 damaged_files": {
        "outcome": "not_applicable", "reason": "the harness AcmeHarness does not offer files()",
    },
    "T6 full_disk": {"outcome": "not_applicable", "reason": "this machine permits no small file system"},
    "T7 fork": {"outcome": "unexpected_pass", "reason": "the driver keeps its sockets",
                "link": "https://example.org/acme/issues/7", "message": "This passes, though it is known to fail."},
    "T8 law_of_k": {"outcome": "failed", "message": "query(k=10) returned 7 hits"},
    "T9 ten_thousand_records_at_once": {"outcome": "not_run", "message": "the run ended before"},
    "T9 speed_against_the_reference": {"outcome": "not_run", "message": "the run ended before"},
    "T10 any_sequence_of_calls": {"outcome": "not_run", "message": "the run ended before"},
    "T10 any_sequence_with_crashes": {"outcome": "not_run", "message": "the run ended before"},
}  # fmt: skip
APPROXIMATE: Mapping[str, Verdict] = {
    "T3 recall_when_near_ones_are_filtered_out": {
        "outcome": "known", "reason": "the graph ends in a cluster that the filter excludes",
        "link": "https://example.org/faiss/issues/3051", "message": "recall@10 is 0.71, the contract asks for 0.9",
    },
    "T6 full_disk": {"outcome": "not_applicable", "reason": "this machine permits no small file system"},
    "T9 opening_and_closing_leaks_nothing": {
        "only": "memory", "outcome": "advisory", "reason": "new in this version of the contract",
        "message": "200 open/close cycles left 4.1 MiB behind",
    },
}  # fmt: skip
FULL_DISK: Mapping[str, Verdict] = {
    "T6 full_disk": {"outcome": "not_applicable", "reason": "this machine permits no small file system"}
}

OPERATORS = sorted(FILTER_OPERATORS)


def capabilities(**other: Any) -> dict[str, Any]:
    """Return the capabilities of a store that declares all there is, but for `other`."""
    return {
        "metrics": ["cosine", "dot", "l2"], "exact": True, "persistent": True, "crash_safe": True,
        "detects_corruption": True, "optional_vectors": True, "text_search": "bm25", "ordered_scan": True,
        "filter_operators": OPERATORS, "concurrency": "single-writer", "native_async": False, "max_batch": None,
        "min_dimension": 1, "consistency": "immediate", "consistency_bound": 0.0, **other,
    }  # fmt: skip


def measured(slowness: float, lost: float) -> dict[str, list[dict[str, Any]]]:
    """Return figures of a store; an approximate one loses recall where few records pass."""
    series: dict[str, list[dict[str, Any]]] = {"recall": [], "selectivity": [], "speed": []}
    points = [("cosine", 1.0), ("dot", 1.0), ("l2", 1.0), ("cosine", 0.1), ("cosine", 0.01), ("cosine", 0.001)]
    for number, (metric, share) in enumerate(points):
        rank = max(0, number - 2)
        ours, brute = slowness * (0.6 + share * 2 + rank / 3 + number / 20), 0.2 + 2.4 * share
        shared = {"metric": metric, "share": share, "p50_ms": round(ours, 4)}
        series["recall"].append({**shared, "recall": round(1 - lost * rank, 4), "k": 10})
        series["selectivity"].append({**shared, "exact_p50_ms": brute, "ratio": round(ours / brute, 3)})
    for number, what in enumerate(("upsert", "query", "get")):
        ratio = round(slowness * (0.5 + 2 * number), 3)
        series["speed"].append({"what": what, "ratio": ratio, "p50_ms": slowness * 3 * (number + 1)})
    return series


def store(name: str, verdicts: Mapping[str, Verdict], declared: dict[str, Any], **more: Any) -> SubjectResult:
    """Return a store with the level that its checks grant."""
    checks = store_checks(verdicts)
    level, reason = reached("vector_store", checks, declared)
    return SubjectResult(
        kind="vector_store", name=name, qualified_name=f"{more['distribution']}.{name}", version="0.1.0",
        capabilities=declared, level=level, level_reason=reason, checks=checks,
        seconds=sum(each.seconds for each in checks), **more,
    )  # fmt: skip


def other(
    kind: str, name: str, declared: dict[str, Any], verdicts: Mapping[str, Verdict] | None = None
) -> SubjectResult:
    """Return a component of another kind."""
    tier, names = OTHER_CHECKS[kind]
    clause = Clause(f"{kind}-values", "Every answer is what the contract says.", "Check what the library returns.")
    checks = [check(tier, each, [clause], [case("", **(verdicts or {}).get(each, {}))]) for each in names]
    level, reason = reached(kind, checks, declared)
    return SubjectResult(
        kind=kind, name=name, qualified_name=f"core.{name}", distribution="ctxkit-core", version="0.1.0",
        capabilities=declared, level=level, level_reason=reason, seconds=1.9, checks=checks,
    )  # fmt: skip


def build_example() -> Report:
    """Return a report with four stores and four other components; every outcome occurs."""
    lean = capabilities(detects_corruption=False, ordered_scan=False, text_search=None, max_batch=5000,
                        filter_operators=[o for o in OPERATORS if o != "$contains"], crash_safe=False,
                        concurrency="single-process")  # fmt: skip
    throttled = {"outcome": "failed", "message": "retried 0.0 s after a 429 with Retry-After: 2, not 2 s"}
    return Report(
        suite_version="0.1.0", contract_version="1.0", created="2026-11-22T17:05:00+00:00", seed=0,
        environment={
            "python": "3.11.9", "platform": "Linux-6.1.0-x86_64", "cpus": 2,
            "packages": {"ctxkit-core": "0.1.0", "ctxkit-faiss": "0.1.0", "numpy": "2.3.1", "hypothesis": "6.170.15"},
        },
        subjects=[
            store("exact", {}, capabilities(), distribution="ctxkit-core", measurements=measured(1.0, 0.0),
                  summary="Exact search over records in SQLite."),
            store("faiss", FULL_DISK, capabilities(), distribution="ctxkit-faiss", measurements=measured(0.5, 0.0),
                  summary="FAISS Flat over records in SQLite."),
            store("faiss", APPROXIMATE, capabilities(exact=False), distribution="ctxkit-faiss", variant="HNSW",
                  config={"index": "hnsw", "ef_search": 64}, measurements=measured(0.18, 0.012),
                  summary="FAISS HNSW over records in SQLite."),
            store("acme", BROKEN, lean, distribution="acme-ctxkit", measurements=measured(2.4, 0.07),
                  summary="Acme's vector database."),
            other("embedder", "hashing", {"dimension": 512, "normalized": True, "offline": True}),
            other("embedder", "static", {"dimension": 256, "normalized": True, "offline": True}),
            other("tokenizer", "estimate", {"exact": False, "encodes": False}, {"decode_restores": {
                "outcome": "not_applicable", "reason": "an estimator does not decode"}}),
            other("llm", "echo", {"streams": True, "native_async": False}, {"rate_limited": throttled}),
        ],
    )  # fmt: skip


@pytest.fixture
def example() -> Report:
    """Return a report with four stores and four other components; every outcome occurs."""
    return build_example()


@pytest.fixture
def make_check() -> Callable[..., CheckResult]:
    """Return a function that makes a check of the law of k with the cases it is given."""
    return lambda *cases, name="law_of_k", tier="T2": check(tier, name, [clauses.LAW_OF_K], cases)


@pytest.fixture
def make_case() -> Callable[..., CaseResult]:
    """Return the function that makes a case."""
    return case
