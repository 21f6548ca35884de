"""``jobkit contract URL``: run the clauses against a backend, print the report, and say by the exit code what came of it."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click

from jobkit.errors import ConfigurationError
from jobkit_contract.clause import Level, Plane, Status
from jobkit_contract.explain import explain_clause
from jobkit_contract.harness import Harness
from jobkit_contract.registry import Registry, load_contract
from jobkit_contract.report import Report, as_json, as_junit, as_markdown, as_text
from jobkit_contract.runner import SIDE_BY_SIDE, Unreachable, probe, run
from jobkit_contract.verdict import Outcome, Terms, judge
from jobkit_contract.waivers import read_waivers

REACHED, NOT_REACHED, USAGE, INCOMPLETE, UNREACHABLE = 0, 1, 2, 3, 4

EXIT_CODES = """
\b
Exit codes: 0 the level's verdict is reached; 1 a clause failed; 2 wrong usage; 3 nothing failed, but not all of the level
ran (a part was asked for, or a check could not run here); 4 the backend was not reached, so nothing ran.
"""


@attrs.frozen(kw_only=True)
class Options:
    """What the command line said."""

    level: Level
    clauses: tuple[str, ...]
    planes: frozenset[Plane]
    seed: int
    side_by_side: int
    waivers: Path | None


@click.command(help="Prove that the backend at URL keeps jobkit's contract.", epilog=EXIT_CODES)
@click.argument("url", required=False, envvar="JOBKIT_URL")
@click.option("--store", default="", envvar="JOBKIT_STORE_URL", help="The store's URL, if it is another backend.")
@click.option("--level", type=click.Choice(["core", "full", "certified"]), default="full", show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the report as JSON to this file.")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="Write it as JUnit XML to this file.")
@click.option("--markdown", is_flag=True, help="Print one row of a Markdown table instead of the report.")
@click.option("--explain", metavar="CLAUSE", help="Say what a clause demands and why, and end. 'all' lists them.")
@click.option(
    "--clause", "clauses", multiple=True, metavar="CLAUSE", help="Only this clause, e.g. DLV-5 or DLV (repeatable)."
)
@click.option(
    "--plane", "planes", multiple=True, type=click.Choice([plane.value for plane in Plane]), help="Only this plane."
)
@click.option("--seed", type=int, help="For the random parts; the report names the one that was used.")
@click.option(
    "--waivers", type=click.Path(path_type=Path, exists=True), help="A TOML file of [[waiver]]: clause, reason, until."
)
@click.option("--emulator", default="", metavar="NAME", help="The server is an emulator of this name: the report says so.")
@click.option("--adapter", default="", metavar="MODULE:NAME", help="The adapter, if no entry point names it yet.")
@click.option(
    "--jobs", "side_by_side", type=click.IntRange(1, 64), default=SIDE_BY_SIDE, show_default=True, help="Checks at once."
)
def contract(
    url: str | None,
    store: str,
    level: str,
    json_file: Path | None,
    junit_file: Path | None,
    markdown: bool,
    explain: str | None,
    clauses: tuple[str, ...],
    planes: tuple[str, ...],
    seed: int | None,
    waivers: Path | None,
    emulator: str,
    adapter: str,
    side_by_side: int,
) -> None:
    registry = load_contract()
    if explain:
        click.echo(_explained(registry, explain))
        return
    if not url:
        raise click.UsageError("name a backend's URL, for example sqlite:///contract.db")
    options = Options(
        level=Level.parse(level),
        clauses=clauses,
        planes=frozenset(map(Plane, planes)) or frozenset(Plane),
        seed=random.SystemRandom().randrange(10**9) if seed is None else seed,
        side_by_side=side_by_side,
        waivers=waivers,
    )
    try:
        report = carry_out(registry, Harness.of(url, store, adapter=adapter, emulator=emulator), options)
    except (ConfigurationError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    if json_file:
        json_file.write_text(as_json(report), encoding="utf-8")
    if junit_file:
        junit_file.write_text(as_junit(report), encoding="utf-8")
    click.echo(as_markdown(report) if markdown else as_text(report))
    sys.exit(exit_code(report))


def carry_out(registry: Registry, harness: Harness, options: Options) -> Report:
    """
    Run what *options* ask for.

    Raises:
        ConfigurationError, ValueError: A URL, a clause's name or a waiver is wrong.
    """
    chosen = _chosen(registry, options.clauses)
    terms = Terms(
        registry=chosen,
        manifest=harness.manifest(),
        level=options.level,
        planes=options.planes,
        waivers=read_waivers(options.waivers, registry.clauses) if options.waivers else (),
        today=datetime.now(UTC).date(),
    )
    started, begun = datetime.now(UTC), time.monotonic()
    ran: dict[str, Outcome] = {}
    unreachable = ""
    try:
        probe(harness)
        ran = run(terms.expected().run, harness, seed=options.seed, side_by_side=options.side_by_side, told=_Progress().told)
    except Unreachable as error:
        unreachable = str(error) or "no reason was given"
    return Report(
        verdict=judge(terms, ran),
        terms=terms,
        harness=harness,
        seed=options.seed,
        started=started,
        seconds=time.monotonic() - begun,
        unreachable=unreachable,
        partial=chosen is not registry or options.planes != frozenset(Plane),
    )


def exit_code(report: Report) -> int:
    if report.unreachable:
        return UNREACHABLE
    if report.verdict.count(Status.FAIL):
        return NOT_REACHED
    return REACHED if report.verdict.reached and not report.partial else INCOMPLETE


def _chosen(registry: Registry, names: Collection[str]) -> Registry:
    """The part of *registry* that *names* (DLV-5, or DLV for all of those) ask for; itself for none."""
    if not names:
        return registry
    wanted = [clause for clause in registry.clauses if clause in names or clause.split("-")[0] in names]
    unknown = [name for name in names if not any(name in (clause, clause.split("-")[0]) for clause in wanted)]
    if unknown:
        raise ValueError(f"the contract has no clause {', '.join(unknown)}; --explain all lists them")
    return registry.only(wanted)


def _explained(registry: Registry, name: str) -> str:
    if name == "all":
        return "\n".join(f"{clause.id:6} {clause.sentence}" for clause in registry.clauses.values())
    if name not in registry.clauses:
        raise click.UsageError(f"the contract has no clause {name}; --explain all lists them")
    return explain_clause(registry, name)


class _Progress:
    """A line on the terminal's error stream while the checks run, and none anywhere else."""

    def __init__(self) -> None:
        self._count = 0

    def told(self, outcome: Outcome) -> None:
        self._count += 1
        if sys.stderr.isatty():
            click.echo(f"\r{self._count} checks, last {outcome.check[:60]:60}", nl=False, err=True)
