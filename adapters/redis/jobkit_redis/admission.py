"""Which servers are refused before anything is entrusted to them. Asked for every connection: failovers change servers."""

from __future__ import annotations

from collections.abc import Mapping

from jobkit.errors import ConfigurationError, JobKitError, Unavailable
from jobkit_redis.options import CHECKED, NOT, Target

OLDEST = (6, 2)


def version_of(info: Mapping[str, str]) -> tuple[int, ...]:
    """Valkey tells the version of Redis that it is compatible with beside its own."""
    return tuple(int(part) for part in info.get("redis_version", "0").split(".")[:2] if part.isdecimal())


def evicts_jobs(info: Mapping[str, str]) -> bool:
    """Whether a full memory makes room by dropping any key. The volatile policies drop only keys with a time to live."""
    return info.get("maxmemory", "0") != "0" and info.get("maxmemory_policy", "").startswith("allkeys")


def objection(info: Mapping[str, str], target: Target) -> JobKitError | None:
    """Why jobs can't be entrusted to the server that said *info* about itself."""
    if version_of(info) < OLDEST:
        return ConfigurationError(f"{target.masked}: Redis {info.get('redis_version')}; jobkit needs 6.2 or later")
    if (info.get("cluster_enabled") == "1") != target.options.cluster:
        is_one, say = ("one of a cluster", "add") if not target.options.cluster else ("not one of a cluster", "drop")
        return ConfigurationError(f"{target.masked}: this server is {is_one}: {say} cluster=true in the URL")
    if info.get("role", "master") != "master":
        # Not a wrong setting but a failover's middle, as a rule: another name, or the same a moment later, is the master.
        return Unavailable(f"{target.masked}: this server is a replica, on which nothing can be written")
    if evicts_jobs(info):
        policy = info["maxmemory_policy"]
        return ConfigurationError(
            f"{target.masked}: maxmemory-policy {policy} drops jobs when memory is full: set noeviction"
        )
    if target.options.durable == CHECKED and info.get("aof_enabled") != "1":
        return ConfigurationError(
            f"{target.masked}: this server keeps no append-only file, so a crash would lose jobs. Set appendonly yes; or say"
            f" durable={NOT} in the URL if they may be lost, durable=vouched if you know that they survive all the same"
        )
    return None
