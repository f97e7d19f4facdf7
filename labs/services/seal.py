"""The history is append-only in the data base itself: triggers refuse to rewrite, delete or truncate its rows.

One change is let through: a reference becomes NULL, as it must when the account, instance or workload that it names goes.

The triggers are set after each `migrate` and not by one migration, for SQLite makes a changed table anew, and its triggers go
with the old one. A migration that has to rewrite history calls `unseal` first.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from labs.models import Event

TABLE = Event._meta.db_table
REFERENCES = tuple(field.column for field in Event._meta.concrete_fields if field.is_relation)
NAME = f"{TABLE}_append_only"
REFUSAL = "History is neither rewritten nor deleted."
EVENTS = ("update", "delete", "truncate")


def seal(connection: BaseDatabaseWrapper) -> None:
    """Set the triggers, or set them anew; nothing where the table is not there yet."""
    unseal(connection)
    with connection.cursor() as cursor:
        if TABLE not in connection.introspection.table_names(cursor):
            return
        columns = [column.name for column in connection.introspection.get_table_description(cursor, TABLE)]
        for statement in _postgresql(columns) if connection.vendor == "postgresql" else _sqlite(columns):
            cursor.execute(statement)


def unseal(connection: BaseDatabaseWrapper) -> None:
    """Take the triggers away; nothing where there are none."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"DROP FUNCTION IF EXISTS {NAME}() CASCADE")
            return
        for event in EVENTS:
            cursor.execute(f"DROP TRIGGER IF EXISTS {NAME}_{event}")


def _postgresql(columns: list[str]) -> list[str]:
    kept = " AND ".join(f"NEW.{name} IS NOT DISTINCT FROM OLD.{name}" for name in columns if name not in REFERENCES)
    freed = " AND ".join(f"(NEW.{name} IS NULL OR NEW.{name} IS NOT DISTINCT FROM OLD.{name})" for name in REFERENCES)
    function = f"""
        CREATE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' THEN
                IF {kept} AND {freed} THEN RETURN NEW; END IF;
            END IF;
            RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'check_violation';
        END $$"""
    return [
        function,
        f"CREATE TRIGGER {NAME} BEFORE UPDATE OR DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION {NAME}()",
        f"CREATE TRIGGER {NAME}_truncate BEFORE TRUNCATE ON {TABLE} FOR EACH STATEMENT EXECUTE FUNCTION {NAME}()",
    ]


def _sqlite(columns: list[str]) -> list[str]:
    kept = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in columns if name not in REFERENCES)
    freed = " AND ".join(f"(NEW.{name} IS NULL OR NEW.{name} IS OLD.{name})" for name in REFERENCES)
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    return [
        f"CREATE TRIGGER {NAME}_update BEFORE UPDATE ON {TABLE} WHEN NOT ({kept} AND {freed}) {refuse}",
        f"CREATE TRIGGER {NAME}_delete BEFORE DELETE ON {TABLE} {refuse}",
    ]
