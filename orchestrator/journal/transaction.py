"""All of several statements, or none of them."""

import contextlib
import sqlite3
from collections.abc import Iterator


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """What is written within is there when the block ends, and none of it when the block raises.

    Blocks may be nested; the outermost one counts. The connection must be in autocommit mode.

    Raises:
        sqlite3.Error: another process writes for too long, or the disk is full.
    """
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has ended it already after some errors
            connection.execute("ROLLBACK")
        raise
