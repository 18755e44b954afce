"""Making, opening, listing and dropping collections, as plans.

The schema holds a table `collections`; its row of a collection has a number that is never given twice, and the number
is the table's name, so that a handle on a dropped collection meets no other one of the same name.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg import errors as raw
from psycopg import sql

from ctxkit.errors import ConfigError, FormatVersionError, UnsupportedError
from ctxkit.interfaces import CollectionSpec
from ctxkit.local.parts import Place, check_same
from ctxkit_pgvector.codec import read, written
from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.faults import BACKEND, Scene
from ctxkit_pgvector.plan import Ask, Plan
from ctxkit_pgvector.table import MOST_DIMENSIONS, WORDS, Table, drop

FORMAT: Final = 1
_LEAST: Final = (0, 8)  # of pgvector, from where on an HNSW index goes on until the filter has passed enough
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('ctxkit ' || %s, 0))"
# Read from the catalogue, as functions such as to_regclass may answer from before the lock was there.
_THERE: Final = "EXISTS (SELECT FROM pg_tables WHERE schemaname = %s AND tablename = 'collections')"
_TOKENS: Final = "asciiword, word, numword, int, uint, float, sfloat, version, host, file, email, url, url_path"


def enter(config: PgvectorConfig, *, make: bool, scene: Scene) -> Plan[str | None]:
    """Check the server, set the session's path and return it; None where there is no schema, which `make` makes."""
    found = yield Ask(
        f"SELECT current_setting('server_encoding'), extversion, n.nspname, {_THERE}"  # noqa: S608 - our own
        " FROM (SELECT 1) one LEFT JOIN pg_extension e ON e.extname = 'vector'"
        " LEFT JOIN pg_namespace n ON n.oid = e.extnamespace",
        (config.schema_name,),
    )
    encoding, version, home, there = found[0]
    if encoding != "UTF8":
        raise scene.error(
            ConfigError, f"the database is encoded in {encoding}.", "make a database WITH ENCODING 'UTF8'."
        )
    if not there and not make:
        return None
    if version is None:
        home = yield from _extension(scene)
        version = (yield Ask("SELECT extversion FROM pg_extension WHERE extname = 'vector'"))[0][0]
    if tuple(map(int, version.split(".")[:2])) < _LEAST:
        raise scene.error(
            UnsupportedError,
            f"the database has pgvector {version}; 0.8 is the oldest that keeps the law of k under a filter.",
            "install a newer pgvector on the server and run ALTER EXTENSION vector UPDATE.",
        )
    if not there:
        yield from _make_schema(config)
    path = f"{_quoted(config.schema_name)}, {_quoted(home)}, pg_temp"
    yield Ask("SELECT set_config('search_path', %s, false)", (path,))
    return path


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _extension(scene: Scene) -> Plan[str]:
    yield Ask(_LOCK, ("extension",))
    try:
        yield Ask("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
    except raw.Error as error:
        raise scene.error(
            UnsupportedError,
            f"the database has no extension vector: {scene.clean(error)}.",
            "have an administrator run CREATE EXTENSION vector, with SCHEMA name where there is no schema public;"
            " the server needs pgvector 0.8 or newer.",
        ) from error
    home: str = (
        yield Ask(
            "SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector'"
        )
    )[0][0]
    return home


def _make_schema(config: PgvectorConfig) -> Plan[None]:
    """Make what all collections share, unless somebody else has done so meanwhile."""
    schema = sql.Identifier(config.schema_name)
    yield Ask(_LOCK, (config.schema_name,))
    if (yield Ask(f"SELECT {_THERE}", (config.schema_name,)))[0][0]:
        return
    if not (yield Ask("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s)", (config.schema_name,)))[0][0]:
        yield Ask(sql.SQL("CREATE SCHEMA {}").format(schema))
    for text in (
        # Stems of English, and no word is left out.
        "CREATE TEXT SEARCH DICTIONARY {schema}.stems (TEMPLATE = pg_catalog.snowball, LANGUAGE = english)",
        "CREATE TEXT SEARCH CONFIGURATION {schema}.{words} (PARSER = pg_catalog.default)",
        "ALTER TEXT SEARCH CONFIGURATION {schema}.{words} ADD MAPPING FOR {tokens} WITH {schema}.stems",
        (
            "CREATE TABLE {schema}.collections (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            ' name text COLLATE "C" NOT NULL UNIQUE, format integer NOT NULL, description text NOT NULL)'
        ),
    ):
        yield Ask(sql.SQL(text).format(schema=schema, words=sql.Identifier(WORDS), tokens=sql.SQL(_TOKENS)))


def opened(spec: CollectionSpec, config: PgvectorConfig, scene: Scene) -> Plan[tuple[Table, str]]:
    """Return the table of the collection, making it when there is none, and the path on which its names are found."""
    if spec.dimension > MOST_DIMENSIONS:
        raise scene.error(
            UnsupportedError,
            f"vectors of {spec.dimension} dimensions are more than pgvector holds ({MOST_DIMENSIONS}).",
            "use a model of fewer dimensions, or cut its vectors.",
        )
    path = yield from enter(config, make=True, scene=scene)
    found = yield from _found(spec.name, scene)
    if found is None:
        yield Ask(_LOCK, (config.schema_name,))
        found = yield from _found(spec.name, scene)
    table = yield from (_made(spec, config) if found is None else _same(found, spec, scene))
    return table, path or ""


def _made(spec: CollectionSpec, config: PgvectorConfig) -> Plan[Table]:
    row = yield Ask(
        "INSERT INTO collections (name, format, description) VALUES (%s, %s, %s) RETURNING number",
        (written(spec.name), FORMAT, spec.model_dump_json()),
    )
    table = Table(row[0][0], spec)
    for statement in table.make(config):
        yield Ask(statement)
    yield from _declare(table, spec.fields)
    return table


def _same(found: Table, asked: CollectionSpec, scene: Scene) -> Plan[Table]:
    """Compare what is there with what is asked for, and add what may be added."""
    place = Place(BACKEND, found.spec.name, None)
    spec = check_same(found.spec, asked, place, has_vectors=False)
    if spec == found.spec:
        return found
    yield Ask("SELECT number FROM collections WHERE number = %s FOR UPDATE", (found.number,))
    current = yield from _found(asked.name, scene)
    if current is None or current.number != found.number:
        raise scene.gone()
    name = sql.Identifier(found.name)
    rows = yield Ask(sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE embedding IS NOT NULL)").format(name))
    spec = check_same(current.spec, asked, place, has_vectors=rows[0][0])
    table = Table(found.number, spec)
    yield from _declare(table, [field for field in spec.fields if field not in current.spec.fields])
    yield Ask("UPDATE collections SET description = %s WHERE number = %s", (spec.model_dump_json(), table.number))
    return table


def _declare(table: Table, fields: Any) -> Plan[None]:
    for field in fields:
        for statement in table.make_field(field):
            yield Ask(statement)


def _found(name: str, scene: Scene) -> Plan[Table | None]:
    rows = yield Ask("SELECT number, format, description FROM collections WHERE name = %s", (written(name),))
    if not rows:
        return None
    number, version, description = rows[0]
    if version != FORMAT:
        raise scene.error(
            FormatVersionError,
            f"the collection was written in format {version}, this version reads {FORMAT}.",
            "install the version of ctxkit-pgvector that wrote it, or a newer one.",
        )
    return Table(number, CollectionSpec.model_validate_json(description))


def names(config: PgvectorConfig, scene: Scene) -> Plan[list[str]]:
    """Return the names of all collections, sorted."""
    if not (yield from enter(config, make=False, scene=scene)):
        return []
    return [read(name) for (name,) in (yield Ask("SELECT name FROM collections ORDER BY name"))]


def described(config: PgvectorConfig, name: str, scene: Scene) -> Plan[CollectionSpec]:
    """Return what a collection was made with."""
    found = None
    if (yield from enter(config, make=False, scene=scene)):
        found = yield from _found(name, scene)
    if found is None:
        raise scene.missing()
    return found.spec


def dropped(config: PgvectorConfig, name: str, scene: Scene) -> Plan[None]:
    """Delete a collection."""
    rows = []
    if (yield from enter(config, make=False, scene=scene)):
        rows = yield Ask("DELETE FROM collections WHERE name = %s RETURNING number", (written(name),))
    if not rows:
        raise scene.missing()
    yield Ask(drop(rows[0][0]))
