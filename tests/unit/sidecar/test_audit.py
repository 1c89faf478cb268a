"""The audit: a chain that shows what was altered, and no operation without an end."""

from __future__ import annotations

import datetime as dt
import sqlite3
import string
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.sidecar import audit as audit_module
from celeriac.sidecar.audit import LONGEST_OPERATION, Audit, Deed, verify
from celeriac.sidecar.chain import Record, digest
from celeriac.sidecar.contract import Caller, Role
from celeriac.sidecar.database import Database, DatabaseError
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.problems import ProblemError

CALLER = Caller("somebody", Role.ADMIN, "127.0.0.1")
DEED = Deed("tasks.revoke", '["a"]', "flooded")
FIELDS = Record.__struct_fields__
BEGAN = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@dataclass
class Book:
    """An audit in a file that a test may write to behind its back."""

    path: Path
    now: dt.datetime = BEGAN

    def __post_init__(self) -> None:
        self.url = f"sqlite:///{self.path}"
        self.database = Database(self.url)
        self.metrics = SidecarMetrics()
        self.audit = Audit(self.database, self.metrics, lambda: self.now)

    def write(self, *operations: str) -> None:
        for operation in operations:
            self.audit.intent(operation, CALLER, DEED)
            self.audit.outcome(operation, "done", "all of it")

    def execute(self, statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def kinds(self) -> list[tuple[str, str, str]]:
        columns = "operation_id, kind, result"
        return self.execute(f"SELECT {columns} FROM audit_records ORDER BY sequence")

    def metric(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"celeriac_sidecar_{name}")


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / "audit.db")
    yield book
    book.database.close()


# -- the chain -------------------------------------------------------------------------------------


def test_a_chain_that_nobody_touched_verifies(book: Book) -> None:
    book.write("one", "two", "three")
    assert verify(book.url) == (6, None, "")


def test_an_empty_chain_verifies(book: Book) -> None:
    book.audit.tend()
    assert verify(book.url) == (0, None, "")


def test_a_database_that_is_not_there_is_no_empty_chain(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError):
        verify(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sequence", [1, 3, 6])
@pytest.mark.parametrize("field", [name for name in FIELDS if name != "sequence"])
def test_an_altered_field_is_found(book: Book, field: str, sequence: int) -> None:
    book.write("one", "two", "three")
    book.execute(f"UPDATE audit_records SET {field} = 'altered' WHERE sequence = ?", sequence)
    result = verify(book.url)
    assert result.first_bad == sequence
    assert result.reason


@pytest.mark.parametrize("value", [b"\xff", 5, 1.5, ""])
def test_a_field_of_another_type_is_found(book: Book, value: Any) -> None:
    book.write("one")
    book.execute("UPDATE audit_records SET actor = ? WHERE sequence = 1", value)
    assert verify(book.url).first_bad == 1


@pytest.mark.parametrize("sequence", [1, 2, 3, 4, 5, 6])
def test_a_deleted_record_is_found(book: Book, sequence: int) -> None:
    book.write("one", "two", "three")
    book.execute("DELETE FROM audit_records WHERE sequence = ?", sequence)
    result = verify(book.url)
    assert (result.first_bad, result.reason[:7]) == (sequence, "missing")


def test_a_chain_without_its_end_is_found(book: Book) -> None:
    book.write("one", "two", "three")
    book.execute("DELETE FROM audit_records WHERE sequence > 2")
    assert verify(book.url) == (2, 3, "missing at the end")


def test_all_records_gone_is_found(book: Book) -> None:
    book.write("one")
    book.execute("DELETE FROM audit_records")
    assert verify(book.url).first_bad == 1


def test_records_that_changed_places_are_found(book: Book) -> None:
    book.write("one", "two", "three")
    for old, new in ((3, 99), (4, 3), (99, 4)):
        book.execute("UPDATE audit_records SET sequence = ? WHERE sequence = ?", new, old)
    assert verify(book.url).first_bad == 3


def test_a_record_that_was_put_in_front_is_found(book: Book) -> None:
    book.write("one")
    book.execute("UPDATE audit_records SET sequence = 0 WHERE sequence = 1")
    assert verify(book.url).first_bad == 1


def test_a_record_behind_the_head_is_found(book: Book) -> None:
    book.write("one", "two")
    book.execute("UPDATE audit_heads SET sequence = 2, hash = ("
                 "SELECT hash FROM audit_records WHERE sequence = 2)")  # fmt: skip
    assert verify(book.url).first_bad == 4


@pytest.mark.parametrize(
    "statement", ["DELETE FROM audit_heads", "UPDATE audit_heads SET hash = 'other'"]
)
def test_a_head_that_was_touched_is_found(book: Book, statement: str) -> None:
    book.write("one")
    book.execute(statement)
    assert verify(book.url).first_bad == 2


def test_a_record_that_was_hashed_anew_breaks_the_next(book: Book) -> None:
    book.write("one")
    (row,) = book.execute("SELECT * FROM audit_records WHERE sequence = 1")
    forged = Record(**dict(zip(FIELDS, row, strict=True)) | {"actor": "nobody"})
    book.execute(
        "UPDATE audit_records SET actor = 'nobody', hash = ? WHERE sequence = 1",
        digest(forged),
    )
    assert verify(book.url).first_bad == 2


text = st.text(max_size=50)


@given(st.lists(st.tuples(text, text, text, text), min_size=1, max_size=5), st.data())
@settings(deadline=None, max_examples=25)
def test_whatever_is_recorded_verifies_until_it_is_changed(
    operations: list[tuple[str, str, str, str]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        book = Book(Path(folder) / "audit.db")
        for number, (actor, target, reason, detail) in enumerate(operations):
            caller = Caller(actor, Role.OPERATOR, "::1")
            book.audit.intent(str(number), caller, Deed("tasks.revoke", target, reason))
            book.audit.outcome(str(number), "done", detail)
        count = 2 * len(operations)
        assert verify(book.url) == (count, None, "")
        sequence = data.draw(st.integers(1, count))
        field = data.draw(st.sampled_from([name for name in FIELDS if name != "sequence"]))
        new = data.draw(st.text(string.printable))
        (old,) = book.execute(f"SELECT {field} FROM audit_records WHERE sequence = ?", sequence)
        try:
            book.execute(f"UPDATE audit_records SET {field} = ? WHERE sequence = ?", new, sequence)
        except sqlite3.IntegrityError:
            return
        assert verify(book.url).first_bad == (None if old == (new,) else sequence)
        book.database.close()


@pytest.mark.parametrize("actor", ["nul\0", "lone \ud800 surrogate"])
def test_text_that_no_database_holds_is_recorded_nevertheless(book: Book, actor: str) -> None:
    book.audit.intent("one", Caller(actor, Role.ADMIN, ""), DEED)
    assert verify(book.url).first_bad is None


# -- intents and outcomes --------------------------------------------------------------------------


def test_an_intent_is_on_disk_when_it_is_recorded(book: Book) -> None:
    book.audit.intent("one", CALLER, DEED)
    assert book.kinds() == [("one", "intent", "")]


def test_only_its_owner_can_read_the_file(book: Book) -> None:
    book.audit.tend()
    assert book.path.stat().st_mode & 0o077 == 0


def test_the_folder_is_made(tmp_path: Path) -> None:
    book = Book(tmp_path / "some" / "where" / "audit.db")
    book.write("one")
    assert verify(book.url).records == 2


def test_two_outcomes_of_one_operation_are_one(book: Book) -> None:
    book.write("one")
    book.audit.outcome("one", "failed", "again")
    assert book.kinds() == [("one", "intent", ""), ("one", "outcome", "done")]
    book.write("two")
    assert verify(book.url) == (4, None, "")


def test_a_long_target_stands_whole_in_the_intent_only(book: Book) -> None:
    book.audit.intent("one", CALLER, Deed("tasks.revoke", "x" * 100_000, ""))
    book.audit.outcome("one", "done", "")
    lengths = book.execute("SELECT length(target) FROM audit_records ORDER BY sequence")
    assert lengths == [(100_000,), (audit_module.MAX_TARGET_CHARACTERS,)]


def test_the_head_is_a_metric(book: Book) -> None:
    book.write("one", "two")
    assert book.metric("audit_head") == 4


def test_every_hash_is_logged_in_a_second_place(
    book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "celeriac")
    book.write("one")
    for (found,) in book.execute("SELECT hash FROM audit_records"):
        assert found in caplog.text


@pytest.fixture
def breaking(book: Book, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Make every write fail, or none any more."""
    write = book.database.write
    is_broken = False

    def write_unless_broken() -> Any:
        if is_broken:
            raise DatabaseError("the disk is full")
        return write()

    monkeypatch.setattr(book.database, "write", write_unless_broken)

    def switch(is_on: bool) -> None:
        nonlocal is_broken
        is_broken = is_on

    return switch


def test_an_intent_that_cannot_be_written_is_a_503(
    book: Book, breaking: Callable[[bool], None]
) -> None:
    breaking(True)
    with pytest.raises(ProblemError) as caught:
        book.audit.intent("one", CALLER, DEED)
    assert caught.value.status == 503
    assert "disk" not in caught.value.detail
    assert book.metric("audit_failures_total") == 1


def test_an_outcome_that_cannot_be_written_is_written_later(
    book: Book, breaking: Callable[[bool], None]
) -> None:
    book.audit.intent("one", CALLER, DEED)
    breaking(True)
    book.audit.outcome("one", "done", "")
    assert len(book.kinds()) == 1
    breaking(False)
    book.write("two")
    assert book.kinds()[2:] == [("one", "outcome", "done"), ("two", "outcome", "done")]
    assert verify(book.url) == (4, None, "")


def test_an_outcome_that_cannot_be_written_is_written_by_the_next_look(
    book: Book, breaking: Callable[[bool], None]
) -> None:
    book.audit.intent("one", CALLER, DEED)
    breaking(True)
    book.audit.outcome("one", "done", "")
    book.audit.tend()
    breaking(False)
    book.now += LONGEST_OPERATION * 2
    book.audit.tend()
    assert book.kinds()[1:] == [("one", "outcome", "done")]


def test_an_outcome_without_its_intent_does_not_keep_others_from_being_written(
    book: Book,
) -> None:
    book.audit.intent("one", CALLER, DEED)
    book.execute("DELETE FROM audit_records")
    book.audit.outcome("one", "done", "")
    book.write("two")
    assert [kind for _, kind, _ in book.kinds()] == ["intent", "outcome"]


def test_what_is_not_committed_is_not_announced(
    book: Book, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "celeriac")
    book.write("one")
    monkeypatch.setattr(book.database._engine.dialect, "do_commit", broken)
    with pytest.raises(ProblemError):
        book.audit.intent("two", CALLER, DEED)
    assert "audit record 3" not in caplog.text
    assert book.metric("audit_head") == 2


def broken(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_too_many_outcomes_that_cannot_be_written_are_not_all_kept(
    book: Book, breaking: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_module, "MAX_UNWRITTEN", 1)
    book.audit.intent("one", CALLER, DEED)
    book.audit.intent("two", CALLER, DEED)
    breaking(True)
    book.audit.outcome("one", "done", "")
    book.audit.outcome("two", "done", "")
    breaking(False)
    book.now += LONGEST_OPERATION * 2
    book.audit.tend()
    assert {(name, result) for name, _, result in book.kinds()[2:]} == {
        ("one", "done"),
        ("two", "unknown"),
    }


# -- after a crash ---------------------------------------------------------------------------------


def successor(book: Book, seconds: float = 1) -> Book:
    """Return the next process, the one before having ended."""
    book.database.close()
    return Book(book.path, book.now + dt.timedelta(seconds=seconds))


def test_what_a_crash_left_open_is_closed_as_unknown(book: Book) -> None:
    book.audit.tend()
    book.audit.intent("one", CALLER, DEED)
    later = successor(book)
    later.audit.tend()
    assert later.kinds() == [("one", "intent", ""), ("one", "outcome", "unknown")]
    assert verify(book.url) == (2, None, "")


def test_it_is_closed_once(book: Book) -> None:
    book.audit.intent("one", CALLER, DEED)
    later = successor(book)
    for _ in range(3):
        later.audit.tend()
    latest = successor(later)
    latest.audit.tend()
    assert len(latest.kinds()) == 2


def test_what_runs_is_not_closed(book: Book) -> None:
    book.audit.tend()
    book.now += dt.timedelta(seconds=30)
    book.audit.intent("one", CALLER, DEED)
    book.audit.tend()
    assert len(book.kinds()) == 1
    book.audit.outcome("one", "done", "")
    assert book.kinds()[1] == ("one", "outcome", "done")


def test_what_runs_in_another_process_that_lives_is_not_closed(book: Book) -> None:
    book.audit.tend()
    book.audit.intent("one", CALLER, DEED)
    other = Book(book.path, book.now + dt.timedelta(seconds=1))
    other.audit.tend()
    assert len(other.kinds()) == 1


def test_what_runs_in_a_process_that_came_second_is_not_closed(book: Book) -> None:
    book.audit.tend()
    second = Book(book.path, book.now)
    second.audit.tend()
    second.audit.intent("one", CALLER, DEED)
    third = successor(book)
    third.audit.tend()
    assert len(third.kinds()) == 1


def test_what_no_operation_takes_so_long_for_is_closed_by_whoever_sees_it(book: Book) -> None:
    book.audit.tend()
    book.audit.intent("one", CALLER, DEED)
    book.now += dt.timedelta(seconds=1)
    book.audit.intent("two", CALLER, DEED)
    book.audit.outcome("two", "done", "")
    other = Book(book.path, book.now)
    other.audit.tend()
    other.now += LONGEST_OPERATION
    other.audit.tend()
    assert other.kinds()[-1] == ("one", "outcome", "unknown")
    assert len(other.kinds()) == 4


def test_an_outcome_that_comes_too_late_changes_nothing(book: Book) -> None:
    book.audit.intent("one", CALLER, DEED)
    book.now += LONGEST_OPERATION * 2
    book.audit.tend()
    book.audit.outcome("one", "done", "")
    assert [kind for _, *kind in book.kinds()] == [["intent", ""], ["outcome", "unknown"]]
    book.write("two")
    assert verify(book.url) == (4, None, "")
