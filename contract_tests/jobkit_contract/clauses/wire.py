"""OPS-3: the wire format, pinned by what earlier versions and other languages write."""

from __future__ import annotations

import json
from typing import Any

from jobkit import JobKit, RetryPolicy, codec, current_job
from jobkit.transport import Message
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Plane
from jobkit_contract.registry import CONTRACT
from jobkit_contract.shop import Shop, wait_until
from jobkit_contract.staff import local
from jobkit_contract.steps import bodies, expect_equal, send, take

ARGS = '{"text" : "caf\\u00e9 \\ud83d\\ude00",  "numbers":[1, 2.50, 1e3], "nothing": null}'
"""With spaces and escapes as jobkit itself does not write them: they are the sender's, and stay."""

MINIMAL = """\
{"args": @ARGS@, "type":"contract.golden", "enqueued_at":"2026-01-02T03:04:05.678901Z",
  "queue":"jobs", "id":"golden-1", "v":1}""".replace("@ARGS@", ARGS)

FULL = r"""{"v":1,"id":"golden-2","type":"contract.golden","queue":"jobs","args":@ARGS@,
"enqueued_at":"2026-01-02T03:04:05.678901+00:00","type_version":3,"headers":{"trace":"00-ab\u00e9"},"priority":"high",
"due":"2026-01-02T04:00:00Z","spent":2,"failures":[{"at":"2026-01-02T03:05:00Z","attempt":1,"error":"shop.Refused",
"message":"first","traceback":"tb","worker":"w1","from_the_future":1},
{"at":"2026-01-02T03:06:00Z","attempt":2,"error":"shop.Refused"}],"key":"k","parent":"p-1","root":"r-1",
"successors":[{"id":"golden-3","type":"contract.golden","queue":"other","args":@ARGS@,"new":true}],
"key_id":"key 7","signature":"c2ln",
"from_the_future":{"deep":[1,{"x":"\u0000"}],"big":123456789012345678901234567890}}""".replace("@ARGS@", ARGS)

FUTURE = {"deep": [1, {"x": "\0"}], "big": 123456789012345678901234567890}

LATER = {"text": "café 😀", "numbers": [1.0, 2.5, 1000.0], "nothing": None}


def _shop(bench: Bench, failing: int = 0) -> tuple[Shop, list[tuple[Any, ...]]]:
    """A shop that knows the golden type; its handler fails until attempt *failing* is over."""
    jobs, seen = JobKit(), list[tuple[Any, ...]]()

    @jobs.handler(name="contract.golden", queue="jobs", retry=RetryPolicy(max_attempts=4, delays=[0.05]))
    @local
    def golden(text: str, numbers: list[float], nothing: None) -> None:
        job = current_job()
        seen.append((job.id, job.attempt, dict(job.headers), {"text": text, "numbers": numbers, "nothing": nothing}))
        if job.attempt <= failing:
            raise ValueError("not yet")

    return Shop(bench, jobs), seen


def _message(body: str, job_id: str, queue: str = "jobs") -> Message:
    return Message(id=job_id, queue=queue, body=body.encode())


@CONTRACT.check("OPS-3", plane=Plane.WORKER)
def what_others_wrote_runs(bench: Bench) -> None:
    """Envelopes with only the required fields, with all of them, and with fields of a later version run, chain included."""
    shop, seen = _shop(bench)
    send(shop.transport, _message(MINIMAL, "golden-1"), _message(FULL, "golden-2", "jobs--high"))
    shop.worker(concurrency=1)
    wait_until(lambda: len(seen) >= 3, "three golden jobs to run", found=lambda: seen)
    shop.wait_at_rest()
    promised = [
        ("golden-1", 1, {}, LATER),
        ("golden-2", 3, {"trace": "00-abé"}, LATER),
        ("golden-3", 1, {}, LATER),
    ]
    expect_equal(sorted(seen, key=lambda run: str(run[0])), promised, "what the handlers saw")


@CONTRACT.check("OPS-3", plane=Plane.WORKER)
def what_is_not_known_survives_a_retry_and_a_death(bench: Bench) -> None:
    """Fields that this version does not know, and the arguments' own spelling, are there after retries, and when dead."""
    shop, seen = _shop(bench, failing=4)
    send(shop.transport, _message(FULL, "golden-2", "jobs--high"))
    shop.worker(concurrency=1)
    wait_until(lambda: shop.jobs.dead.count() == 1, "the golden job to die", found=lambda: seen)
    expect_equal([run[1] for run in seen], [3, 4], "attempts")
    dead = shop.jobs.dead.show("golden-2")
    fields = json.loads(dead.body)
    sent = json.loads(FULL)
    expect_equal(fields.pop("from_the_future"), FUTURE, "the unknown field of a dead letter")
    expect_equal(ARGS.encode() in dead.body, True, "whether the arguments are spelt as they were sent")
    same = ("id", "type", "args", "type_version", "headers", "priority", "key", "parent", "root", "key_id", "signature")
    expect_equal({name: fields[name] for name in same}, {name: sent[name] for name in same}, "fields of a dead letter")
    expect_equal(
        [(one.attempt, one.error.rpartition(".")[2]) for one in dead.failures[:2]],
        [(1, "Refused"), (2, "Refused")],
        "failures that it came with",
    )
    expect_equal([one.attempt for one in dead.failures], [1, 2, 3, 4], "attempts of its failures")


@CONTRACT.check("OPS-3", plane=Plane.WORKER)
def what_travels_is_the_published_format(bench: Bench) -> None:
    """What an enqueue puts into the broker is the pinned envelope, and decodes to the same after a round trip."""
    shop, _ = _shop(bench)
    golden = shop.jobs.get("contract.golden")
    chain = (
        golden.using(priority="low", headers={"a": "ü"}).new("x", [1], None).then(golden.using(delay=3).new("y", [], None))
    )
    chain.enqueue()
    [body] = bodies(take(bench, bench.transport(), 1, queues=["jobs--low"]))
    fields = json.loads(body)
    first, second, enqueued_at = fields.pop("id"), fields["successors"][0].pop("id"), fields.pop("enqueued_at")
    expect_equal(
        fields,
        {
            "v": 1,
            "type": "contract.golden",
            "queue": "jobs",
            "priority": "low",
            "headers": {"a": "ü"},
            "args": {"text": "x", "numbers": [1], "nothing": None},
            "successors": [
                {
                    "type": "contract.golden",
                    "queue": "jobs",
                    "args": {"text": "y", "numbers": [], "nothing": None},
                    "delay": 3.0,
                }
            ],
        },
        "the envelope",
    )
    expect_equal(second, chain.id, "id of the chain's last job")
    decoded = codec.decode(body)
    expect_equal((decoded.id, decoded.enqueued_at.isoformat()[:19]), (first, enqueued_at[:19]), "id and time")
    expect_equal(codec.decode(codec.encode(decoded)), decoded, "the envelope after a round trip")
