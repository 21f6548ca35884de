"""What a person should know before trusting jobs to this server. Looks, and changes nothing."""

from __future__ import annotations

from jobkit.adapter import Finding
from jobkit_rabbitmq.options import Target


def check(target: Target) -> list[Finding]:
    return []
