"""The table of one collection: its columns and indexes, as statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from psycopg import sql

from ctxkit.interfaces import CollectionSpec
from ctxkit.records import FieldType, Metric
from ctxkit_pgvector.codec import LONGEST, written
from ctxkit_pgvector.conditions import SHORT, Column
from ctxkit_pgvector.config import PgvectorConfig

MOST_DIMENSIONS: Final = 16_000  # of pgvector's type
MOST_IN_GRAPH: Final = 4_000  # that its HNSW index takes
_MOST_WHOLE: Final = 2_000  # that it takes in single precision; longer ones it takes in half of it
_LONGEST_HALVED: Final = 6e4  # norms beyond it may have a number beyond those of half precision, 65504
_INLINE: Final = 1_500  # dimensions of a vector that has room in a page beside the rest of its row
WORDS: Final = "words"  # the configuration of text search
_OPERATORS: Final[Mapping[Metric, tuple[str, str]]] = {
    "cosine": ("<=>", "cosine"),
    "dot": ("<#>", "ip"),
    "l2": ("<->", "l2"),
}
_KINDS: Final[Mapping[FieldType, str]] = {
    "str": "string",
    "bool": "boolean",
    "int": "number",
    "float": "number",
    "number": "number",
    "list": "array",
}
_VALUES: Final = {
    "string": f"left({{value}} #>> '{{{{}}}}', {SHORT}) COLLATE \"C\"",
    "boolean": "({value})::boolean",
    "number": "({value})::numeric",
    "array": "{value}",
}
_TYPES: Final = {"string": 'text COLLATE "C"', "boolean": "boolean", "number": "numeric", "array": "jsonb"}


@dataclass(frozen=True)
class Table:
    """The names of one collection's table and columns, and the statements that make them."""

    number: int
    spec: CollectionSpec

    @property
    def name(self) -> str:
        """The table's name, in the schema of the session's search path."""
        return _name(self.number)

    @property
    def operator(self) -> str:
        """The operator of pgvector by which vectors are compared."""
        return _OPERATORS[self.spec.metric][0]

    @property
    def is_halved(self) -> bool:
        """Whether the graph holds vectors in half precision, in which they are only proposed."""
        return _MOST_WHOLE < self.spec.dimension <= MOST_IN_GRAPH

    @property
    def longest(self) -> float:
        """The norm up to which a vector is compared as it is; the numbers of half precision end much earlier."""
        return _LONGEST_HALVED if self.is_halved and self.spec.metric != "cosine" else LONGEST

    @property
    def in_graph(self) -> str:
        """What the graph is made of; where that is in half precision, cosine needs the direction only."""
        if not self.is_halved:
            return "embedding"
        whole = "l2_normalize(embedding)" if self.spec.metric == "cosine" else "embedding"
        return f"({whole}::halfvec({self.spec.dimension}))"

    @property
    def by_graph(self) -> str:
        """The order in which the graph gives records, by their distance from a vector, which is a parameter."""
        asked = f"%s::vector::halfvec({self.spec.dimension})" if self.is_halved else "%s::vector"
        return f"{self.in_graph} {self.operator} {asked}"

    @property
    def graph(self) -> str:
        """The name of the HNSW index."""
        return f"{self.name}_graph"

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The generated column of each declared field."""
        return {field: Column(f"f{place}", kind) for place, (field, kind) in enumerate(self.spec.fields.items())}

    def make(self, config: PgvectorConfig) -> Iterator[str]:
        """Yield the statements that make the table; those of its fields come by themselves."""
        yield self.sql(
            'CREATE TABLE {table} (id text COLLATE "C" PRIMARY KEY, text text NOT NULL, metadata jsonb NOT NULL,'
            " embedding vector({dimension}), exact bytea, words integer NOT NULL, terms tsvector NOT NULL)",
            dimension=sql.Literal(self.spec.dimension),
        )
        if self.spec.dimension <= _INLINE:
            yield self.sql("ALTER TABLE {table} ALTER COLUMN embedding SET STORAGE PLAIN")
        yield self.sql("CREATE INDEX {name} ON {table} USING gin (terms)", name=self._named("terms"))
        # The key is also the replica identity, without which a server that publishes its tables refuses every write.
        yield self.sql(
            "CREATE TABLE {writes} (slot integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number bigint NOT NULL)"
        )
        if config.index == "hnsw":
            yield from self.make_graph(config)

    def make_graph(self, config: PgvectorConfig) -> Iterator[str]:
        """Yield the statement that makes the HNSW index, where there can be one."""
        if self.spec.dimension <= MOST_IN_GRAPH:
            yield self.sql(
                "CREATE INDEX IF NOT EXISTS {name} ON {table} USING hnsw ({made_of} {operators})"
                " WITH (m = {m}, ef_construction = {candidates})",
                name=sql.Identifier(self.graph),
                made_of=sql.SQL(self.in_graph),
                operators=sql.SQL(f"{'halfvec' if self.is_halved else 'vector'}_{_OPERATORS[self.spec.metric][1]}_ops"),
                m=sql.Literal(config.m),
                candidates=sql.Literal(max(config.ef_construction, 2 * config.m)),
            )

    def make_field(self, field: str) -> Iterator[str]:
        """Yield the statements that declare a field: its generated column, the check of its type, its index."""
        column = self.columns[field]
        kind = _KINDS[column.kind]
        value = sql.SQL("metadata -> {}").format(sql.Literal(written(field)))
        name = sql.Identifier(column.name)
        yield self.sql(
            "ALTER TABLE {table} ADD COLUMN {column} {type} GENERATED ALWAYS AS"
            " (CASE jsonb_typeof({value}) WHEN {kind} THEN {read} END) STORED, ADD CONSTRAINT {check} CHECK ({test})",
            column=name,
            type=sql.SQL(_TYPES[kind]),
            value=value,
            kind=sql.Literal(kind),
            read=sql.SQL(_VALUES[kind]).format(value=sql.SQL("({})").format(value)),
            check=sql.Identifier(f"{column.name}_is_{column.kind}"),
            test=_check(column.kind, kind, value),
        )
        yield self.sql(
            "CREATE INDEX {name} ON {table} USING {method} ({column}{operators}) WHERE {column} IS NOT NULL",
            name=self._named(column.name),
            method=sql.SQL("gin" if kind == "array" else "btree"),
            column=name,
            operators=sql.SQL(" jsonb_path_ops" if kind == "array" else ""),
        )

    def _named(self, part: str) -> sql.Identifier:
        return sql.Identifier(f"{self.name}_{part}")

    def sql(self, text: str, **parts: sql.Composable) -> str:
        """Return one of our own statements with the tables' names, and other parts of DDL, in it; values never are."""
        return _composed(text, self.name, **parts) if parts else _filled(text, self.name, 0)

    def limited(self, text: str, limit: int) -> str:
        """Return a statement with its limit in it: as a parameter it would be planned anew for each call."""
        return _filled(text, self.name, limit)


def drop(number: int) -> str:
    """Return the statement that deletes what `Table.make` made for the collection of this number."""
    return _filled("DROP TABLE {table}, {writes}", _name(number), 0)


def _name(number: int) -> str:
    return f"records_{number}"


@lru_cache(1024)
def _filled(text: str, table: str, limit: int) -> str:
    """Put names and a limit into a statement; remembered, because that takes longer than to send it."""
    return _composed(text, table, limit=sql.Literal(limit))


def _composed(text: str, table: str, **parts: sql.Composable) -> str:
    own: Any = text  # psycopg asks for a literal, so that nobody puts values into it
    named = {"table": sql.Identifier(table), "writes": sql.Identifier(f"{table}_writes"), **parts}
    return sql.SQL(own).format(**named).as_string()


def _check(declared: FieldType, kind: str, value: sql.Composable) -> sql.Composable:
    """Return what holds for every record without the field, or with a value of the declared type there."""
    fits = sql.SQL("coalesce(jsonb_typeof({value}), {kind}) = {kind}").format(value=value, kind=sql.Literal(kind))
    if declared not in {"int", "float"}:
        return fits
    # A float has a point, an int has none.
    point = sql.SQL("strpos(coalesce(({value})::text, {other}), '.') {sign} 0").format(
        value=value,
        other=sql.Literal("." if declared == "float" else ""),
        sign=sql.SQL(">" if declared == "float" else "="),
    )
    return sql.SQL("{} AND {}").format(fits, point)
