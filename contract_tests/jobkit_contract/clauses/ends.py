"""DLV-1, through the worker: every job ends, and ends once."""

from __future__ import annotations

from collections import Counter
from itertools import chain

from jobkit_contract.bench import Bench
from jobkit_contract.clause import Plane
from jobkit_contract.registry import CONTRACT
from jobkit_contract.shop import Shop, wait_until
from jobkit_contract.steps import expect, expect_equal

ENDS = {"done": "done", "flaky": "done", "snoozed": "done", "discarded": "discarded", "doomed": "dead", "dead": "dead"}
"""How a handler of the staff is told to end, and what its record must say then."""

EACH = 12


@CONTRACT.check("DLV-1", plane=Plane.WORKER, limit=90)
def every_job_ends_in_exactly_one_way(bench: Bench) -> None:
    """
    Plain and tracked jobs succeed, fail at first or for good, are snoozed, discarded, expire, are purged, go on as chains;
    of two workers one is killed in the middle. Each job ends as it must, dead ones once, and nothing is left.
    """
    shop = Shop(bench)
    plain, tracked = shop.jobs.get("plain"), shop.jobs.get("tracked")
    expired = [tracked.using(expires=0.01).enqueue("expired", number).id for number in range(EACH)]
    for number in range(EACH):
        plain.using(queue="other").enqueue("purged", number)
    removed = shop.jobs.purge("other")
    expect(removed in (EACH, None), f"of {EACH} jobs in a queue the purge removed {removed}")
    victim = shop.killable(lease=shop.lease, concurrency=4)
    shop.killable(lease=shop.lease, concurrency=4)
    jobs = {how: [tracked.new(how, number) for number in range(EACH)] for how in ENDS}
    others = {how: [plain.new(how, number) for number in range(EACH)] for how in ENDS}
    chained = [tracked.new("done", 100 + number).then(tracked.new("done", 200 + number)) for number in range(EACH)]
    shop.jobs.enqueue_many([*chain(*jobs.values()), *chained, *chain(*others.values())])
    shop.notes.wait_for_any(40)
    victim.kill()

    promised = {job.id: end for how, end in ENDS.items() for job in jobs[how]}
    promised.update((job.id, "done") for job in chained)
    promised.update((job_id, "expired") for job_id in expired)
    must_run = {f"plain {how} {number}" for how in ENDS for number in range(EACH)}
    buried = [job.id for each in (jobs, others) for how in ("doomed", "dead") for job in each[how]]
    wait_until(
        lambda: (
            must_run <= set(shop.notes.all())
            and shop.jobs.dead.count() >= len(buried)
            and shop.ends(list(promised)) == promised
        ),
        "all jobs to end as they must",
        within=2 * shop.lease,
        found=lambda: _amiss(shop.ends(list(promised)), promised, must_run - set(shop.notes.all())),
    )
    shop.wait_at_rest(within=2 * shop.lease)
    found = Counter(entry.id for entry in shop.jobs.dead.list(limit=None))
    expect_equal(found, Counter(buried), "dead letters")
    seen = shop.notes.all()
    expect(not any("expired" in note or "purged" in note for note in seen), "an expired or purged job was run")
    expect_equal(shop.ends(list(promised)), promised, "ends, looked at again")
    shop.nothing_left()


def _amiss(seen: dict[str, str], promised: dict[str, str], unseen: set[str]) -> str:
    wrong = [f"{promised[job_id]} seen as {end or 'nothing'}" for job_id, end in seen.items() if end != promised[job_id]]
    return f"{len(wrong)} of {len(seen)} have not: {', '.join(wrong[:5])}; never run: {sorted(unseen)[:5]}"
