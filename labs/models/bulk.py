"""Many rows, each with values of its own, in one statement: what Django has for it takes a statement, or a branch, for each row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections, router, transaction
from django.db.models import Model, QuerySet

#: Values by field, of one row.
Values = Mapping[str, Any]


def update_each(
    model: type[Model],
    each: Mapping[Any, Values],
    *,
    as_read: Mapping[Any, Values] | None = None,
    only: Mapping[str, Collection[Any]] | None = None,
) -> set[Any]:
    """Write to each row, by its key, its values; returns the keys of those that were written. One statement for all rows that
    have the same fields, after one that locks them.

    Compare-and-set: `as_read` are values that each row must still have, `only` some of which all rows must have one. Plain
    values, of the model's own table; nothing else than the values is written, and no signal is sent. For some hundred rows.
    """
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Any]] = defaultdict(list)
    for pk, values in each.items():
        if values:
            alike[tuple(values), tuple((as_read or {}).get(pk, ()))].append(pk)
    if not alike:
        return set()
    connection = connections[router.db_for_write(model)]
    # SQLite before 3.35 has no RETURNING.
    write = _write if connection.features.can_return_rows_from_bulk_insert else _write_one_by_one
    written: set[Any] = set()
    with transaction.atomic(using=connection.alias):
        lock_in_order(
            model._default_manager.using(connection.alias).filter(pk__in=[pk for pks in alike.values() for pk in pks])
        )
        for (names, compared), pks in alike.items():
            rows = [
                [pk, *(each[pk][name] for name in names), *((as_read or {})[pk][name] for name in compared)]
                for pk in pks
            ]
            written |= write(_Alike(connection, model, names, compared, rows, only or {}))
    return written


def lock_in_order(rows: QuerySet[Any]) -> None:
    """Lock these rows, where the data base locks rows, in the one order in which all do it, so that two never wait for each other.
    Within a transaction."""
    if connections[rows.db].features.has_select_for_update:
        list(rows.select_for_update(no_key=True, of=("self",)).order_by("pk").values_list("pk", flat=True))


@dataclass(frozen=True)
class _Alike:
    """Rows that have the same fields."""

    connection: Any
    model: type[Model]
    names: Sequence[str]
    compared: Sequence[str]
    #: Of each its key, its values for `names`, and those that it must have for `compared`.
    rows: Sequence[Sequence[Any]]
    only: Mapping[str, Collection[Any]]


def _write_one_by_one(some: _Alike) -> set[Any]:
    split = 1 + len(some.names)
    rows = some.model._default_manager.using(some.connection.alias)
    allowed = rows.filter(**{f"{name}__in": values for name, values in some.only.items()})
    return {
        row[0]
        for row in some.rows
        if allowed.filter(pk=row[0], **dict(zip(some.compared, row[split:], strict=True))).update(
            **dict(zip(some.names, row[1:split], strict=True))
        )
    }


def _write(some: _Alike) -> set[Any]:
    connection, model = some.connection, some.model
    quote = connection.ops.quote_name
    fields: list[Any] = [model._meta.pk, *(model._meta.get_field(name) for name in (*some.names, *some.compared))]
    key, last = fields[0], len(some.names)

    def value(number: int) -> str:
        # Both data bases call the columns of a list of values so. PostgreSQL takes values for text where nothing says otherwise.
        name = f"v.column{number + 1}"
        return f"CAST({name} AS {fields[number].db_type(connection)})" if connection.vendor == "postgresql" else name

    def own(field: Any) -> str:
        return f"t.{quote(field.column)}"

    parameters = [
        field.get_db_prep_save(item, connection) for row in some.rows for field, item in zip(fields, row, strict=True)
    ]
    where = [f"{own(fields[number])} = {value(number)}" for number in (0, *range(1 + last, len(fields)))]
    for name, allowed in some.only.items():
        field: Any = model._meta.get_field(name)
        where.append(f"{own(field)} IN ({', '.join(['%s'] * len(allowed))})")
        parameters += [field.get_db_prep_save(item, connection) for item in allowed]
    sets = ", ".join(f"{quote(fields[number].column)} = {value(number)}" for number in range(1, 1 + last))
    values = ", ".join([f"({', '.join(['%s'] * len(fields))})"] * len(some.rows))
    statement = (
        f"UPDATE {quote(model._meta.db_table)} AS t SET {sets} FROM (VALUES {values}) AS v "  # noqa: S608  # names of our own
        f"WHERE {' AND '.join(where)} RETURNING {quote(key.column)}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return {key.to_python(found) for (found,) in cursor.fetchall()}
