"""``jobkit dead replay`` and ``jobkit dead purge``: by id, or all that match."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import click

from jobkit.app import JobKit
from jobkit.cli.confirmation import confirm, dry_run_option, yes_option
from jobkit.cli.dead_filters import Filters, filter_options
from jobkit.cli.failures import ERROR, NOT_FOUND, OK, PARTIAL
from jobkit.cli.options import app_options
from jobkit.cli.output import json_option, note, print_json
from jobkit.errors import JobKitError

Change = Callable[[Sequence[str]], dict[str, str]]

_all_option = click.option("--all", "everything", is_flag=True, help="All that match the filters; without any, all.")
_limit_option = click.option("--limit", type=click.IntRange(min=1), help="With --all: so many at most, the oldest first.")


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_all_option
@filter_options
@_limit_option
@dry_run_option
@json_option
@app_options
def replay(
    app: JobKit, ids: tuple[str, ...], everything: bool, filters: Filters, limit: int | None, dry_run: bool, as_json: bool
) -> None:
    """Send dead letters again, as the same jobs with all their attempts before them."""
    chosen = _choose(app, ids, everything, filters, limit, "replay")
    _carry_out(app.dead.replay, [] if dry_run else chosen, "replayed", as_json)


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_all_option
@filter_options
@_limit_option
@yes_option
@dry_run_option
@json_option
@app_options
def purge(
    app: JobKit,
    ids: tuple[str, ...],
    everything: bool,
    filters: Filters,
    limit: int | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove dead letters for good."""
    chosen = _choose(app, ids, everything, filters, limit, "purge")
    if chosen and not dry_run:
        confirm(f"Remove {len(chosen)} dead letters for good?", yes)
    _carry_out(app.dead.purge, [] if dry_run else chosen, "purged", as_json)


def _choose(
    app: JobKit, ids: tuple[str, ...], everything: bool, filters: Filters, limit: int | None, verb: str
) -> Sequence[str]:
    """The ids to change; what they are is told on stderr first."""
    if ids:
        if everything or filters or limit is not None:
            raise click.UsageError("give ids, or --all with filters, not both")
        note(f"to {verb}: {len(ids)}")
        return list(dict.fromkeys(ids))
    if not everything:
        raise click.UsageError("give ids, or --all with or without filters")
    entries = filters.find(app, sys.maxsize if limit is None else limit)
    note(f"to {verb}: {len(entries)}")
    for (queue, type_), count in sorted(Counter((entry.queue, entry.type) for entry in entries).items()):
        note(f"  {count:>6}  {type_} in {queue}")
    return [entry.id for entry in entries]


def _carry_out(change: Change, ids: Sequence[str], done: str, as_json: bool) -> None:
    told = _one_by_one(change, ids, done)
    failed = {job_id: outcome for job_id, outcome in told.items() if outcome != done}
    for job_id, outcome in failed.items():
        note(f"{job_id}: {outcome}")
    if as_json:
        print_json({done: len(told) - len(failed), "failed": failed})
    else:
        click.echo(f"{done} {len(told) - len(failed)}" + (f", failed {len(failed)}" if failed else ""))
    click.get_current_context().exit(_exit_code(len(told), failed.values()))


def _one_by_one(change: Change, ids: Sequence[str], done: str) -> dict[str, str]:
    """What became of each. If the backend goes away in the midst of it, what was done till then is told."""
    told: dict[str, str] = {}
    try:
        for job_id in ids:
            told.update(change([job_id]))
    except JobKitError:
        note(f"{done} {sum(outcome == done for outcome in told.values())} of {len(ids)} before this happened:")
        raise
    return told


def _exit_code(count: int, failed: Iterable[str]) -> int:
    outcomes = list(failed)
    if not outcomes:
        return OK
    if len(outcomes) < count:
        return PARTIAL
    return NOT_FOUND if set(outcomes) == {"not found"} else ERROR
