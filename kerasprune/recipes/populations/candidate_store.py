"""The evaluated candidates of a population, in one SQLite file that is whole at every moment."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kerasprune.errors import PruneError
from kerasprune.files import path_of
from kerasprune.recipes.populations.engine import Outcome

_APPLICATION, _FORMAT = 0x6B70706F, 1  # "kppo": no other program's file is written to
_TABLE = """
CREATE TABLE candidates (
    key TEXT PRIMARY KEY, function TEXT NOT NULL, arguments TEXT NOT NULL, version TEXT NOT NULL,
    result TEXT, error TEXT, log TEXT NOT NULL, attempts INTEGER NOT NULL, seconds REAL NOT NULL, ended TEXT NOT NULL
)
"""
_PATIENCE = 60  # seconds that another process may hold the file


@dataclass(frozen=True)
class Evaluation:
    """A candidate that was evaluated.

    Args:
        key: Its hash.
        function: The address of the function.
        arguments: Its arguments.
        version: The version of the function.
        result: The returned value.
        error: The error in place of a result, or `None`.
        log: The end of its output, and its traceback.
        attempts: Number of attempts.
        seconds: Duration of the last one.
        ended: Its end, UTC.
    """

    key: str
    function: str
    arguments: Mapping[str, Any]
    version: str
    result: Any
    error: str | None
    log: str
    attempts: int
    seconds: float
    ended: str


def key_of(data: Any) -> str:
    """Returns a hash of plain data, independent of the order of keys; raises `ValueError` for NaN."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, allow_nan=False).encode()).hexdigest()


class CandidateStore:
    """Reads and writes the file of a population.

    Args:
        path: The file. It is made at the first write.

    Raises:
        PruneError: The path is another kind of file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path_of(path)
        if self.path.is_dir():
            raise PruneError(f"Expected the path of a file for the store. Received: {str(path)!r}, which is a folder.")
        if self.path.exists():
            with self._opened():
                pass

    def read(self, keys: Iterable[str] | None = None) -> dict[str, Evaluation]:
        """Returns evaluations by key, in the order in which they ended; all, or those of some keys."""
        if not self.path.exists():
            return {}
        with self._opened() as database:
            rows = database.execute("SELECT * FROM candidates ORDER BY rowid").fetchall()
        found = {row["key"]: _evaluation(row) for row in rows}
        return found if keys is None else {key: found[key] for key in dict.fromkeys(keys) if key in found}

    def write(self, function: str, version: str, arguments: Mapping[str, Any], outcome: Outcome, attempts: int) -> None:
        """Writes an outcome in place of an earlier one of the same candidate."""
        row = (
            outcome.key,
            function,
            json.dumps(arguments),
            version,
            None if outcome.error else json.dumps(outcome.result),
            outcome.error,
            outcome.log,
            attempts,
            round(outcome.seconds, 3),
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        with self._opened() as database:
            database.execute(f"REPLACE INTO candidates VALUES ({','.join('?' * len(row))})", row)

    def forget_failures(self) -> int:
        """Removes the candidates that failed; returns their number."""
        if not self.path.exists():
            return 0
        with self._opened() as database:
            return database.execute("DELETE FROM candidates WHERE error IS NOT NULL").rowcount

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Yields the database, made if it is missing; writes are kept if the block ends without an error."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_PATIENCE)) as database, database:
                database.row_factory = sqlite3.Row
                self._check(database)
                yield database
        except sqlite3.Error as error:
            raise PruneError(
                f"The store cannot be read or written. Received: {str(self.path)!r} ({error}). "
                "Expected an SQLite file of kp.recipes.Population, on a disk with room."
            ) from error

    def _check(self, database: sqlite3.Connection) -> None:
        marks = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if marks == [_APPLICATION, _FORMAT]:
            return
        if marks != [0, 0] or database.execute("SELECT name FROM sqlite_master").fetchone():
            raise PruneError(
                f"Expected a store of kp.recipes.Population. Received: {str(self.path)!r}, an SQLite file of another "
                "program or of a later version of kerasprune. Choose another path."
            )
        database.execute("BEGIN IMMEDIATE")
        database.execute(_TABLE)
        database.execute(f"PRAGMA application_id = {_APPLICATION}")
        database.execute(f"PRAGMA user_version = {_FORMAT}")


def _evaluation(row: sqlite3.Row) -> Evaluation:
    result = None if row["result"] is None else json.loads(row["result"])
    return Evaluation(**{**row, "arguments": json.loads(row["arguments"]), "result": result})
