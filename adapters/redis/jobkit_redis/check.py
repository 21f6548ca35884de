"""What a person should know before trusting jobs to these servers. Looks, and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing

from hiredis import ReplyError

from jobkit.adapter import Finding
from jobkit_redis.admission import OLDEST, evicts_jobs, version_of
from jobkit_redis.options import CHECKED, Address, Target
from jobkit_redis.server import LAYOUT, Server
from jobkit_redis.slots import Slots
from jobkit_redis.wire import Reply, Wire

NEARLY_FULL = 0.8


def check(target: Target) -> list[Finding]:
    """
    Raises:
        Unavailable, ConfigurationError: There is nothing to look at.
    """
    deadline = time.monotonic() + target.options.timeout
    with ExitStack() as stack:

        def connect(address: Address) -> Wire:
            # Without the pool, which would refuse the servers that most deserve a word.
            return stack.enter_context(closing(Wire(target, address, deadline)))

        first = connect(target.address)
        findings = [*_encryption(target), *_membership(first, target)]
        for address in _masters(first, target, deadline):
            wire = first if address == target.address else connect(address)
            where = f" at {address}" if target.options.cluster else ""
            findings += [_at(finding, where) for finding in _server(wire, target, deadline)]
        return [*findings, *_layout(first, target, deadline)]


def _at(finding: Finding, where: str) -> Finding:
    return Finding(finding.level, finding.what + where, finding.advice)


def _encryption(target: Target) -> Iterator[Finding]:
    if not target.is_local and not target.encrypted:
        yield Finding("warning", f"jobs travel to {target.address} in plain text", "write rediss:// in the URL")


def _membership(wire: Wire, target: Target) -> Iterator[Finding]:
    is_member = wire.info.get("cluster_enabled") == "1"
    if is_member and not target.options.cluster:
        yield Finding("error", "this server is one of a cluster", "add cluster=true to the URL")
    if target.options.cluster and not is_member:
        yield Finding("error", "this server is not one of a cluster", "drop cluster=true from the URL")


def _masters(wire: Wire, target: Target, deadline: float) -> Sequence[Address]:
    reply = _asked(wire, deadline, "CLUSTER", "SLOTS") if target.options.cluster else None
    if not reply:
        return [target.address]
    slots = Slots(target.address, True)
    slots.read(reply, wire.address)
    return slots.servers()


def _server(wire: Wire, target: Target, deadline: float) -> Iterator[Finding]:
    info = wire.info
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info.get('redis_version')}"
    if version_of(info) < OLDEST:
        yield Finding("error", name, "jobkit needs Redis 6.2 or later, or Valkey")
    else:
        yield Finding("ok", name)
    if info.get("role", "master") != "master":
        yield Finding("error", "a replica, on which nothing can be written", "name the master in the URL")
    yield from _memory(info)
    yield from _persistence(wire, target, deadline)
    yield from _replication(wire, deadline)
    yield from _cluster_state(wire, deadline)


def _memory(info: Mapping[str, str]) -> Iterator[Finding]:
    policy, most = info.get("maxmemory_policy", "noeviction"), int(info.get("maxmemory", 0))
    if evicts_jobs(info):
        yield Finding("error", f"maxmemory-policy = {policy}", "a full memory drops jobs: set noeviction")
    elif most and policy != "noeviction":
        advice = "it spares jobs, which have no time to live, but takes room that other data then lacks: set noeviction"
        yield Finding("warning", f"maxmemory-policy = {policy}", advice)
    else:
        yield Finding("ok", f"maxmemory-policy = {policy}" if most else "no maxmemory, so nothing is evicted")
    used = int(info.get("used_memory", 0))
    if most and used > most * NEARLY_FULL:
        advice = "a full one refuses new jobs (what is there can still be worked off): raise maxmemory"
        yield Finding("warning", f"memory is {used * 100 // most} % full", advice)


def _persistence(wire: Wire, target: Target, deadline: float) -> Iterator[Finding]:
    if wire.info.get("aof_enabled") != "1":
        level = "error" if target.options.durable == CHECKED else "warning"
        advice = "a crash of the server loses jobs: set appendonly yes"
        yield Finding(level, f"appendonly = no (durable={target.options.durable})", advice)  # type: ignore[arg-type]
        return
    if wire.info.get("aof_last_write_status", "ok") != "ok":
        yield Finding("error", "the append-only file can't be written", "look at the server's log and its disk")
    fsync = _setting(wire, "appendfsync", deadline)
    if fsync == "always":
        yield Finding("ok", "appendonly = yes, appendfsync = always")
    else:
        advice = "a crash of the whole machine loses the last second or two: set appendfsync always if it must not"
        yield Finding("warning", f"appendonly = yes, appendfsync = {fsync or 'unknown'}", advice)


def _replication(wire: Wire, deadline: float) -> Iterator[Finding]:
    replicas = int(wire.info.get("connected_slaves", 0))
    if replicas and _setting(wire, "min-replicas-to-write", deadline) == "0":
        advice = "a failover can lose the last moments, also after the master has gone on alone: set min-replicas-to-write"
        yield Finding("warning", f"{replicas} replicas, and min-replicas-to-write = 0", advice)


def _cluster_state(wire: Wire, deadline: float) -> Iterator[Finding]:
    if wire.info.get("cluster_enabled") != "1":
        return
    reply = _asked(wire, deadline, "CLUSTER", "INFO")
    if reply is not None and b"cluster_state:ok" not in reply:
        yield Finding("error", "the cluster is not complete", "see CLUSTER INFO and CLUSTER NODES")


def _layout(wire: Wire, target: Target, deadline: float) -> Iterator[Finding]:
    """Asked through a server that refuses nobody, of one that may: a refusal has been reported above already."""
    key = Server(target).keys.layout
    reply = _asked(wire, deadline, "GET", key)
    if reply is None:
        return
    version = int(reply)
    if version > LAYOUT:
        yield Finding("error", f"layout {version}, made by a newer jobkit", "upgrade jobkit-redis here")
    else:
        yield Finding("ok", f"layout {version}")


def _setting(wire: Wire, name: str, deadline: float) -> str | None:
    """None where the server does not tell: managed ones have no CONFIG, and a worker's user needs no right to it."""
    reply = _asked(wire, deadline, "CONFIG", "GET", name)
    return reply[1].decode() if reply else None


def _asked(wire: Wire, deadline: float, *words: str) -> Reply:
    """The server's answer, or None if it refuses to give one."""
    wire.write([words], deadline)
    reply = wire.read(deadline)
    return None if isinstance(reply, ReplyError) else reply
