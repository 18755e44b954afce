"""The checks of what callers pass to a read or a delete."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctxkit.errors import ConfigError, InvalidFilterError, InvalidQueryError
from ctxkit.filters import And, Filter, Where, parse
from ctxkit.interfaces import BackendConfig, CollectionSpec
from ctxkit.local.config import LocalConfig
from ctxkit.records import FloatVectors, check_vectors


def local_config(config: BackendConfig, backend: str) -> LocalConfig:
    """Return the configuration, or raise ConfigError when it is another backend's."""
    if isinstance(config, LocalConfig):
        return config
    raise ConfigError(f"{backend} was given a {type(config).__name__}.", fix=f"pass {backend}'s own configuration.")


def check_options(spec: CollectionSpec, backend: str) -> None:
    """Refuse index options: an option that changes nothing would be a lie."""
    if spec.index_options:
        raise ConfigError(
            f"index_options has {', '.join(sorted(spec.index_options))}; {backend} has no index options.",
            fix="leave index_options empty; options of the backend belong in its configuration.",
            backend=backend,
            collection=spec.name,
        )


def checked_ids(ids: object) -> list[str]:
    """Return a list of ids; ids that no record can have are fine, they are not found."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Sequence):
        raise InvalidQueryError(f"ids is {type(ids).__name__}.", fix="pass a list of ids, for example [record_id].")
    for record_id in ids:
        if not isinstance(record_id, str):
            raise InvalidQueryError(f"an id is {type(record_id).__name__}, not str.", fix="pass str ids.")
    return list(ids)


def deletion(ids: object, where: Where | None) -> tuple[list[str] | None, Filter | None]:
    """Return what to delete by, or raise when that would be everything."""
    wanted = None if ids is None else checked_ids(ids)
    if where is None:
        if wanted is None:
            raise InvalidQueryError("delete was given neither ids nor a filter.", fix="use drop_collection instead.")
        return wanted, None
    node = parse(where)
    if node == And(()):
        raise InvalidFilterError("where: an empty filter would delete everything.", fix="use drop_collection instead.")
    return wanted, node


def checked_score(score: object) -> float | None:
    """Return the least score to keep, None for all."""
    if score is None:
        return None
    if isinstance(score, bool) or not isinstance(score, (int, float, np.number)) or np.isnan(score):
        raise InvalidQueryError(f"min_score is {score!r}.", fix="pass a number, or None for all hits.")
    return float(score)


def checked_text(text: object) -> str:
    """Return the text of a text query."""
    if not isinstance(text, str):
        raise InvalidQueryError(f"the text is {type(text).__name__}, not str.", fix="pass str.")
    return text


def query_vectors(vectors: npt.ArrayLike, spec: CollectionSpec) -> FloatVectors:
    """Return queries as float32[n, d]; (d,) is one query, an empty list none."""
    try:
        given = np.asarray(vectors)
    except ValueError as error:
        msg = f"the queries do not form one array: {error}."
        raise InvalidQueryError(msg, fix=f"pass rows that all have {spec.dimension} numbers.") from error
    if given.shape == (0,):
        given = np.zeros((0, spec.dimension), dtype=np.float32)
    elif given.ndim == 1:
        given = given[None, :]
    return check_vectors(given, spec.dimension, spec.metric, error=InvalidQueryError)
