"""STO-4 and STO-5: order, paging, and values that come back as they went."""

from __future__ import annotations

import threading

from jobkit.errors import TooLarge
from jobkit.store import Key, Store, Write
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Plane
from jobkit_contract.clauses.writes import put, value
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import expect, expect_equal, raises

# U+FFFF comes before U+1F600 in UTF-8 and after it in UTF-16. The others differ in case, accents, spaces, as patterns.
NAMES = (
    *("a", "A", "b", "B", "aa", "a b", "a ", " a", "a_b", "aXb", "a%b", "a'b", 'a"b', "a\\b", "a/b", "a:b", "a?b", "a*"),
    *("10", "9", "010", "é", "e\u0301", "ß", "ss", "ÿ", "Ā", "\uffff", "\U0001f600", "\U0010ffff", "~", "!", "ı", "i", "I"),
    *("x" * 256, "x" * 255, "\U0001f600" * 256, "NULL", "null", "{}", "-", "--", "\u00a0", "\u200b", "\u2028"),
)


def names(store: Store, collection: str, *, page: int, reverse: bool = False) -> list[str]:
    """All names, page by page."""
    found: list[str] = []
    while True:
        part = [name for name, _ in store.scan(collection, after=found[-1] if found else "", limit=page, reverse=reverse)]
        expect(len(part) <= page, f"a scan with limit {page} gave {len(part)}")
        found += part
        if not part:
            return found


@CONTRACT.check("STO-4", plane=Plane.STORE)
def names_come_in_the_order_of_their_bytes(bench: Bench) -> None:
    """A scan follows the names' UTF-8 bytes, forwards and backwards, whatever the page."""
    store = bench.store()
    shuffled = list(NAMES)
    bench.random.shuffle(shuffled)
    put(store, *(Write(Key("things", name), name.encode()) for name in shuffled))
    promised = sorted(NAMES, key=str.encode)
    for page in (1, 7, 100):
        expect_equal(names(store, "things", page=page), promised, f"names in pages of {page}")
        expect_equal(names(store, "things", page=page, reverse=True), promised[::-1], f"names backwards in pages of {page}")
    for name, record in store.scan("things", limit=100):
        expect_equal(record.value, name.encode(), f"the value beside the name {name!r}")


@CONTRACT.check("STO-4", plane=Plane.STORE)
def a_scan_starts_beyond_any_text(bench: Bench) -> None:
    """`after` need not be a name that is there; it is left out itself, in both directions."""
    store = bench.store()
    put(store, *(Write(Key("things", name), b"") for name in ("b", "d", "f")))
    for after, reverse, promised in (
        ("", False, ["b", "d", "f"]),
        ("a", False, ["b", "d", "f"]),
        ("b", False, ["d", "f"]),
        ("c", False, ["d", "f"]),
        ("f", False, []),
        ("", True, ["f", "d", "b"]),
        ("z", True, ["f", "d", "b"]),
        ("f", True, ["d", "b"]),
        ("e", True, ["d", "b"]),
        ("b", True, []),
    ):
        seen = [name for name, _ in store.scan("things", after=after, limit=10, reverse=reverse)]
        expect_equal(seen, promised, f"a scan after {after!r}{' backwards' if reverse else ''}")
    expect_equal(store.scan("empty", limit=10), [], "a scan of an empty collection")


@CONTRACT.check("STO-4", plane=Plane.STORE)
def a_page_starts_at_its_name_whatever_changed_before_it(bench: Bench) -> None:
    """Records that come and go between two pages shift nothing, in either direction."""
    for reverse in (False, True):
        store, writer = bench.store(), bench.store()
        keys = [Key("things", f"{number:02}") for number in range(0, 40, 2)]
        put(writer, *(Write(key, b"") for key in keys))
        names = sorted((key.name for key in keys), reverse=reverse)
        page = [name for name, _ in store.scan("things", limit=6, reverse=reverse)]
        expect_equal(page, names[:6], "the first page")
        put(writer, *(Write(Key("things", name), None) for name in names[:4]))
        page = [name for name, _ in store.scan("things", after=page[-1], limit=6, reverse=reverse)]
        expect_equal(page, names[6:12], "the page after four records that went")
        put(writer, *(Write(Key("things", f"{int(name):02}x"), b"") for name in names[2:10]))
        page = [name for name, _ in store.scan("things", after=page[-1], limit=6, reverse=reverse)]
        expect_equal(page, names[12:18], "the page after eight records that came")
        put(writer, *(Write(Key("things", name), None) for name in names))
        put(writer, *(Write(Key("things", f"{int(name):02}x"), None) for name in names))


@CONTRACT.check("STO-4", plane=Plane.STORE, limit=60)
def a_record_that_stands_is_never_left_out(bench: Bench) -> None:
    """While others come, change and go, paging shows every record that stands throughout, once, and in order."""
    store, writer = bench.store(), bench.store()
    standing = [f"{number:03}" for number in range(0, 100, 2)]
    put(writer, *(Write(Key("things", name), b"stands") for name in standing))
    over = threading.Event()

    def disturb() -> None:
        while not over.is_set():
            comes, goes = (Key("things", f"{number:03}") for number in bench.random.sample(range(1, 100, 2), 2))
            even = Key("things", bench.random.choice(standing))
            put(writer, Write(comes, b"comes"), Write(even, b"changes"), Write(goes, None))
            bench.sleep(0.0005)

    future = bench.start(disturb)
    try:
        for turn in range(12):
            found = names(store, "things", page=bench.random.randint(3, 17), reverse=bool(turn % 2))
            ordered = found[::-1] if turn % 2 else found
            expect_equal(ordered, sorted(set(found)), "names of one scan, in order and once each")
            expect_equal([name for name in ordered if int(name) % 2 == 0], standing, "records that stand throughout")
    finally:
        over.set()
    future.result(timeout=20)


@CONTRACT.check("STO-4", plane=Plane.STORE)
def counting_stops_at_the_limit(bench: Bench) -> None:
    """A count is exact up to its limit, and no more than that."""
    store = bench.store()
    expect_equal(store.count("things", limit=10), 0, "the count of an empty collection")
    put(store, *(Write(Key("things", str(number)), b"") for number in range(30)))
    expect_equal([store.count("things", limit=limit) for limit in (1, 29, 30, 31)], [1, 29, 30, 30], "counts of 30 records")
    put(store, Write(Key("things", "7"), None))
    expect_equal(store.count("things", limit=100), 29, "the count after a delete")


@CONTRACT.check("STO-5", plane=Plane.STORE)
def values_come_back_byte_for_byte(bench: Bench) -> None:
    """Every byte, none at all, text in every encoding, noise."""
    store, other = bench.store(), bench.store()
    everything = bytes(range(256))
    values = [b"", b"\0", everything, everything[::-1] * 300, b"\xff\xfe", b"{}", b"null", b" x ", b"\\x00", b"\r\n"]
    values += [bench.random.randbytes(bench.random.randint(1, 5000)) for _ in range(10)]
    keys = [Key("things", str(number)) for number in range(len(values))]
    put(store, *(Write(key, each) for key, each in zip(keys, values, strict=True)))
    for key, each in zip(keys, values, strict=True):
        expect_equal(value(other, key), each, "a value")
    expect(
        all(type(record.value) is bytes for _, record in other.scan("things", limit=100)), "a value came as other than bytes"
    )


@CONTRACT.check("STO-5", plane=Plane.STORE, limit=60, heavy=True)
def the_largest_value_passes(bench: Bench) -> None:
    """A value of `max_value` bytes is written and read whole; one byte more raises TooLarge before any I/O."""
    store = bench.store()
    size = bench.store_capabilities.max_value
    largest = (bench.random.randbytes(65521) * (size // 65521 + 1))[:size]
    key = Key("things", "large")
    put(store, Write(key, largest))
    expect(value(store, key) == largest, "the largest value came back with other bytes")
    bare = bench.sibling(setup=False).store()
    raises(TooLarge, lambda: bare.put([Write(key, largest + b"x")]), "a value of max_value + 1")


@CONTRACT.check("STO-5", plane=Plane.STORE)
def collections_are_separate(bench: Bench) -> None:
    """The same name in collections that look alike are different records; nor do namespaces share any."""
    store = bench.store()
    collections = ("a", "ab", "a_b", "axb", "a_", "a" * 40, "a" * 39, "a1")
    put(store, *(Write(Key(each, "name"), each.encode()) for each in collections))
    neighbour = bench.sibling(f"{bench.place.url.params['namespace']}_").store()
    for each in collections:
        expect_equal(value(store, Key(each, "name")), each.encode(), f"the value in collection {each!r}")
        expect_equal([name for name, _ in store.scan(each, limit=10)], ["name"], f"names in collection {each!r}")
        expect_equal(store.count(each, limit=10), 1, f"the count of collection {each!r}")
        expect_equal(neighbour.scan(each, limit=10), [], "what another namespace holds")
    put(store, Write(Key("a", "name"), None))
    expect_equal(value(store, Key("a_", "name")), b"a_", "a record beside one that was deleted")
    put(store, Write(Key("a", "bc"), b"1"), Write(Key("ab", "c"), b"2"))
    seen = [value(store, key) for key in (Key("a", "bc"), Key("ab", "c"), Key("abc", "c"))]
    expect_equal(seen, [b"1", b"2", None], "records whose collection and name make one text")


@CONTRACT.check("STO-5", plane=Plane.STORE)
def the_stores_clock_is_aware_and_goes_on(bench: Bench) -> None:
    """`now` is an aware UTC instant that does not stand still, nor go back."""
    store = bench.store()
    first = store.now()
    bench.sleep(0.3)
    second = store.now()
    offset = first.utcoffset()
    expect(offset is not None and not offset, f"now is {first!r}, which is not UTC")
    expect(0.2 <= (second - first).total_seconds() <= 20, f"0.3 s later, now has moved from {first} to {second}")


@CONTRACT.check("STO-5", plane=Plane.STORE, needs="store.shared", limit=60)
def another_process_sees_the_same_records(bench: Bench) -> None:
    """What one process writes, another one reads."""
    put(bench.store(), *(Write(Key("things", str(number)), b"") for number in range(3)))
    expect_equal(bench.spawn("read", collection="things").hear(), 3, "records that another process sees")
