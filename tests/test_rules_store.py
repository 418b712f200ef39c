"""Rules in a collection: every version is kept, one writer at a time, and a searcher that is open sees the newest."""

import hashlib
import shutil
from pathlib import Path

import pytest

from indexer.lock import writer_lock
from indexer.rules import apply_rules, revert_rules
from retrieval.catalogue.rule_queries import StoredRules
from retrieval.collection import Collection
from retrieval.errors import CollectionLocked, CollectionNotFound, RulesError
from tests.listed import compacted, fill, worded

FIRST = "version: 1\nhides: [{items: [one]}]  # ä\n"
SECOND = "version: 1\nsynonyms: [[one, two]]\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    fill(folder, worded("one", "two"))
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "copy")


def apply(folder: Path, text: str, note: str = "") -> int:
    return apply_rules(folder, text.encode(), name="rules.yaml", note=note).version


def history(folder: Path) -> list[StoredRules]:
    with Collection.open(folder) as opened:
        return opened.rules_history()


def test_a_collection_has_no_rules_at_first(folder: Path) -> None:
    assert history(folder) == []
    with Collection.open(folder) as opened:
        assert not opened.view().rules
        assert opened.stored_rules() is None


def test_every_version_is_kept_as_it_was_written(folder: Path) -> None:
    assert [apply(folder, FIRST, "spring"), apply(folder, SECOND), apply(folder, FIRST)] == [1, 2, 3]
    third, second, first = history(folder)
    assert (first.version, first.yaml, first.note) == (1, FIRST, "spring")
    assert (second.version, second.yaml, second.note) == (2, SECOND, "")
    assert (third.version, third.yaml) == (3, FIRST)
    assert first.sha256 == third.sha256 == hashlib.sha256(FIRST.encode()).hexdigest()
    assert first.applied_at.endswith("+00:00")
    with Collection.open(folder) as opened:
        assert opened.stored_rules() == third
        assert opened.stored_rules(2) == second
        assert opened.stored_rules(4) is None


def test_an_open_reader_sees_new_rules_with_its_next_view(folder: Path) -> None:
    with Collection.open(folder) as opened:
        before = opened.view()
        apply(folder, FIRST)
        after = opened.view()
        assert not before.rules
        assert [rule.items for rule in after.rules.rules.hides] == [("one",)]
        assert after.rules.version == 1
        assert after.revision == before.revision + 1
        assert opened.view() is after
        apply(folder, SECOND)
        assert opened.view().rules.version == 2
        assert not opened.view().rules.rules.hides
        _, items = opened.view_with_items()
        assert len(items) == 2


def test_rules_stay_what_they_were_evaluated_to_when_only_the_index_changes(folder: Path) -> None:
    apply(folder, FIRST)
    with Collection.open(folder) as opened:
        before = opened.view()
        compacted(folder)
        after = opened.view()
        assert after.revision > before.revision
        assert after.rules is before.rules


def test_the_same_rules_again_are_no_new_version(folder: Path) -> None:
    apply(folder, FIRST)
    with Collection.open(folder) as opened:
        revision = opened.view().revision
        again = apply_rules(folder, FIRST.encode(), name="rules.yaml", note="again")
        assert (again.version, again.changed) == (1, False)
        assert opened.view().revision == revision


def test_going_back_is_a_new_version(folder: Path) -> None:
    apply(folder, FIRST)
    apply(folder, SECOND)
    assert revert_rules(folder, 1).version == 3
    newest = history(folder)[0]
    assert (newest.yaml, newest.note) == (FIRST, "back to version 1")
    assert not revert_rules(folder, 1).changed, "it holds already"


@pytest.mark.parametrize(("version", "hint"), [(3, "it has 1 to 2"), (0, "it has 1 to 2"), (-1, "it has 1 to 2")])
def test_going_back_to_what_never_was(folder: Path, version: int, hint: str) -> None:
    apply(folder, FIRST)
    apply(folder, SECOND)
    with pytest.raises(RulesError, match=f"no version {version}") as caught:
        revert_rules(folder, version)
    assert hint in caught.value.hint
    assert len(history(folder)) == 2


def test_going_back_where_there_are_none(folder: Path) -> None:
    with pytest.raises(RulesError) as caught:
        revert_rules(folder, 1)
    assert "catalens rules apply" in caught.value.hint


def test_rules_that_cannot_be_read_change_nothing(folder: Path) -> None:
    apply(folder, FIRST)
    with pytest.raises(RulesError, match=r"other\.yaml, line 2, hide: there is no key hide"):
        apply_rules(folder, b"version: 1\nhide: []", name="other.yaml")
    with pytest.raises(RulesError, match="the note has 501 characters"):
        apply(folder, SECOND, "n" * 501)
    assert [one.version for one in history(folder)] == [1]


def test_a_note_is_one_line_of_unicode(folder: Path) -> None:
    apply(folder, FIRST, "two\nlines \udce4")
    assert history(folder)[0].note == "two lines ?"


def test_a_byte_order_mark_is_not_kept(folder: Path) -> None:
    apply_rules(folder, b"\xef\xbb\xbf" + FIRST.encode(), name="rules.yaml")
    assert history(folder)[0].yaml == FIRST


def test_two_writers(folder: Path) -> None:
    with writer_lock(folder), pytest.raises(CollectionLocked):
        apply(folder, FIRST)
    assert history(folder) == []


def test_no_collection(tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFound):
        apply(tmp_path / "nowhere", FIRST)


def test_an_index_run_leaves_the_rules_as_they_are(folder: Path) -> None:
    apply(folder, FIRST)
    fill(folder, worded("three"))
    with Collection.open(folder) as opened:
        assert opened.view().rules.version == 1


def test_rules_that_this_program_cannot_read_are_an_error_not_forgotten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(folder, FIRST)
    monkeypatch.setattr("retrieval.rules.schema.VERSION", 0)
    with Collection.open(folder) as opened, pytest.raises(RulesError, match="version 1 of the rules, line 1"):
        opened.view()
