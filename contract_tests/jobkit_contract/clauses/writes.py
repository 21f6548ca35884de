"""STO-1, STO-2, STO-3: compare-and-set, its answers, expiry and versions."""

from __future__ import annotations

import threading
from functools import partial

from jobkit.clock import steady
from jobkit.errors import TooLarge
from jobkit.store import Expect, Key, Store, Write, Written
from jobkit.transport import Answer
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Plane
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import EARLY, expect, expect_equal, raises

WRITERS = 6
ROUNDS = 15


def put(store: Store, *writes: Write) -> list[str]:
    """Write, and insist on a YES for each; the new versions."""
    written = store.put(writes)
    expect_equal([each.answer for each in written], [Answer.YES] * len(writes), "answers to put")
    return [each.version or "" for each in written]


def value(store: Store, key: Key) -> bytes | None:
    record = store.get([key])[0]
    return None if record is None else record.value


def words(written: list[Written]) -> list[str]:
    return [each.answer.value for each in written]


def _at_once(bench: Bench, stores: list[Store], write: Write) -> list[str]:
    """What each of *stores* is answered for the same write, started together."""
    barrier = threading.Barrier(len(stores))

    def attempt(store: Store, number: int) -> str:
        barrier.wait()
        return store.put([Write(write.key, f"{number}".encode(), write.expect)])[0].answer.value

    futures = [bench.start(partial(attempt, store, number)) for number, store in enumerate(stores)]
    return [future.result(timeout=25) for future in futures]


@CONTRACT.check("STO-1", plane=Plane.STORE, limit=60)
def one_of_many_creators_wins(bench: Bench) -> None:
    """Of several that write an absent record at once, each on its own handle, one gets YES and the others LOST."""
    stores = [bench.store() for _ in range(WRITERS)]
    for round_ in range(ROUNDS):
        key = Key("races", f"create {round_}")
        answers = _at_once(bench, stores, Write(key, b"", Expect.ABSENT))
        expect_equal(sorted(answers), ["lost"] * (WRITERS - 1) + ["yes"], f"answers to creators, round {round_}")
        winner = str(answers.index("yes")).encode()
        expect_equal(value(stores[0], key), winner, f"the value after round {round_} is the winner's")


@CONTRACT.check("STO-1", plane=Plane.STORE, limit=60)
def one_of_many_replacers_wins(bench: Bench) -> None:
    """The same for several that expect the same version."""
    stores = [bench.store() for _ in range(WRITERS)]
    for round_ in range(ROUNDS):
        key = Key("races", f"replace {round_}")
        (version,) = put(stores[0], Write(key, b"first"))
        answers = _at_once(bench, stores, Write(key, b"", version))
        expect_equal(sorted(answers), ["lost"] * (WRITERS - 1) + ["yes"], f"answers to replacers, round {round_}")


@CONTRACT.check("STO-1", plane=Plane.STORE, limit=90)
def concurrent_counting_loses_nothing(bench: Bench) -> None:
    """Writers that count up one record by compare-and-set, over and over, arrive at the sum."""
    key = Key("races", "counter")
    put(bench.store(), Write(key, b"0"))

    def count(store: Store) -> None:
        for _ in range(ROUNDS):
            while True:
                record = store.get([key])[0]
                assert record is not None
                write = Write(key, b"%d" % (int(record.value) + 1), record.version)
                if store.put([write])[0].answer is Answer.YES:
                    break

    for future in [bench.start(partial(count, bench.store())) for _ in range(WRITERS)]:
        future.result(timeout=80)
    expect_equal(value(bench.store(), key), b"%d" % (WRITERS * ROUNDS), "the counter")


@CONTRACT.check("STO-2", plane=Plane.STORE)
def each_write_of_a_batch_answers_for_itself(bench: Bench) -> None:
    """Writes that win and writes that lose stand side by side; the losers change nothing, neither value nor version."""
    store = bench.store()
    keys = [Key("things", str(number)) for number in range(7)]
    versions = put(store, *(Write(key, b"old") for key in keys[:5]))
    batch = [
        Write(keys[0], b"new", versions[0]),
        Write(keys[1], b"new", versions[0]),
        Write(keys[2], b"new", Expect.ABSENT),
        Write(keys[3], None, versions[3]),
        Write(keys[4], None, "no version of this"),
        Write(keys[5], b"new", "no version of this"),
        Write(keys[6], b"new", Expect.ABSENT),
    ]
    written = store.put(batch)
    expect_equal(words(written), ["yes", "lost", "lost", "yes", "lost", "lost", "yes"], "answers to a mixed batch")
    values = [value(store, key) for key in keys]
    expect_equal(values, [b"new", b"old", b"old", None, b"old", None, b"new"], "values after a mixed batch")
    for number in (1, 2, 4):
        record = store.get([keys[number]])[0]
        expect_equal(record and record.version, versions[number], "the version of a record whose compare was lost")
    for number in (0, 6):
        record = store.get([keys[number]])[0]
        expect_equal(written[number].version, record and record.version, "the version that was answered")


@CONTRACT.check("STO-2", plane=Plane.STORE)
def deleting_and_absent_records_are_consistent(bench: Bench) -> None:
    """Deleting what is not there is fine without a condition, and LOST with a version; a deleted record is absent."""
    store = bench.store()
    key = Key("things", "one")
    expect_equal(words(store.put([Write(key, None)])), ["yes"], "deleting what is not there")
    expect_equal(words(store.put([Write(key, None, "1")])), ["lost"], "deleting a version that is not there")
    (version,) = put(store, Write(key, b"value", Expect.ABSENT))
    put(store, Write(key, None, version))
    expect_equal(store.get([key, Key("things", "never")]), [None, None], "records that are not there")
    expect_equal(words(store.put([Write(key, b"again", version)])), ["lost"], "writing over the version that was deleted")
    put(store, Write(key, b"again", Expect.ABSENT))


@CONTRACT.check("STO-2", plane=Plane.STORE)
def a_refused_batch_writes_nothing(bench: Bench) -> None:
    """A value that is too large, a bad name, or one key twice refuses the whole batch before anything is written."""
    store = bench.store()
    good = Write(Key("things", "good"), b"value")
    large = Write(Key("things", "large"), bytes(bench.store_capabilities.max_value + 1))
    raises(TooLarge, lambda: store.put([good, large]), "a batch with a value of max_value + 1")
    raises(ValueError, lambda: store.put([good, Write(good.key, b"other")]), "a batch with one key twice")
    for bad in (Key("Things", "x"), Key("", "x"), Key("a-b", "x"), Key("a" * 41, "x"), Key("1a", "x")):
        raises(ValueError, lambda bad=bad: store.put([good, Write(bad, b"")]), f"the collection {bad.collection!r}")
    for name in ("", "x" * 257, "nul\0", "line\n", "del\x7f", "\ud800"):
        raises(ValueError, lambda name=name: store.put([good, Write(Key("things", name), b"")]), f"the name {name!r}")
        raises(ValueError, lambda name=name: store.get([Key("things", name)]), f"reading the name {name!r}")
    expect_equal(value(store, good.key), None, "what the refused batches wrote")


@CONTRACT.check("STO-2", plane=Plane.STORE)
def empty_and_long_batches_work(bench: Bench) -> None:
    """Nothing to do is done; two hundred writes and reads are answered in order, absent ones among them."""
    store = bench.store()
    expect_equal((list(store.put([])), list(store.get([]))), ([], []), "answers to empty calls")
    keys = [Key("things", f"{number:03}") for number in range(200)]
    bench.random.shuffle(keys)
    there = set(bench.random.sample(keys, 150))
    put(store, *(Write(key, key.name.encode()) for key in keys if key in there))
    seen = [record and record.value for record in store.get(keys)]
    expect_equal(seen, [key.name.encode() if key in there else None for key in keys], "values in order")
    twice = [record and record.value for record in store.get([keys[3], keys[0], keys[3]])]
    expect_equal(twice, [seen[3], seen[0], seen[3]], "values of a key that was asked for twice")


@CONTRACT.check("STO-3", plane=Plane.STORE, limit=60)
def expired_records_are_gone_at_once(bench: Bench) -> None:
    """A record is there until its time. Then neither get nor scan nor count shows it, whichever looks first."""
    store, other = bench.store(), bench.store()
    ways = ("got", "listed", "counted")
    begun = steady()
    put(
        store,
        *(Write(Key(way, name), b"1", ttl=ttl) for way in ways for name, ttl in (("a", 2.0), ("b", 600.0), ("c", None))),
    )
    written = steady()
    there = value(other, Key("got", "a"))
    expect(there == b"1" or steady() - begun >= 2.0 - EARLY, "a record that lives 2 s was gone at once")
    bench.sleep(max(0.0, written + 2.1 - steady()))
    seen = [value(other, Key("got", name)) for name in "abc"]
    expect_equal(seen, [None, b"1", b"1"], "values once one has expired")
    for reverse in (False, True):
        names = [name for name, _ in other.scan("listed", limit=10, reverse=reverse)]
        expect_equal(sorted(names), ["b", "c"], "names once one has expired")
    if not bench.store_capabilities.count_lag:
        expect_equal(other.count("counted", limit=10), 2, "the count once one has expired")


@CONTRACT.check("STO-3", plane=Plane.STORE, limit=60)
def expired_records_are_absent_to_writers(bench: Bench) -> None:
    """Over an expired record a write that expects its version is LOST, and one that expects none gets YES."""
    store = bench.store()
    keys = [Key("things", name) for name in ("by version", "absent", "any", "delete")]
    versions = put(store, *(Write(key, b"old", ttl=0.5) for key in keys))
    bench.sleep(0.8)
    batch = [Write(keys[0], b"new", versions[0]), Write(keys[1], b"new", Expect.ABSENT), Write(keys[2], b"new")]
    written = store.put([*batch, Write(keys[3], None, versions[3])])
    expect_equal(words(written), ["lost", "yes", "yes", "lost"], "writes over expired records")
    expect_equal([value(store, key) for key in keys], [None, b"new", b"new", None], "values after that")
    expect(written[1].version not in versions, f"the version {written[1].version} came back after its record had expired")


@CONTRACT.check("STO-3", plane=Plane.STORE, limit=60)
def every_write_sets_the_expiry_anew(bench: Bench) -> None:
    """A write without a time to live keeps the record for good, one with it gives it a new end; lost ones do neither."""
    store = bench.store()
    keys = [Key("things", name) for name in ("kept", "longer", "shorter", "untouched")]
    put(store, Write(keys[0], b"", ttl=1.0), Write(keys[1], b"", ttl=1.0), Write(keys[2], b""), Write(keys[3], b"", ttl=1.0))
    put(store, Write(keys[0], b"x"), Write(keys[1], b"x", ttl=600.0), Write(keys[2], b"x", ttl=1.0))
    store.put([Write(keys[3], b"x", "no such version", ttl=600.0)])
    bench.sleep(1.5)
    expect_equal([value(store, key) for key in keys], [b"x", b"x", None, None], "values after a second and a half")


@CONTRACT.check("STO-3", plane=Plane.STORE)
def versions_never_recur(bench: Bench) -> None:
    """However often a name is written and deleted, also with the same value, no version comes twice."""
    stores = [bench.store(), bench.store()]
    key = Key("things", "one")
    versions: list[str] = []
    for turn in range(12):
        versions += put(stores[turn % 2], Write(key, b"same"))
        versions += put(stores[(turn + 1) % 2], Write(key, b"same", versions[-1]))
        put(stores[turn % 2], Write(key, None))
        versions += put(stores[turn % 2], Write(key, b"same", Expect.ABSENT))
    expect(all(versions), "a put answered YES without a version")
    expect_equal(len(set(versions)), len(versions), "different versions")
