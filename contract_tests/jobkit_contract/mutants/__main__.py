"""``python -m jobkit_contract.mutants``: the matrix clause by fault. Exit code 1 if a fault survives its clause."""

from __future__ import annotations

import sys

import click

from jobkit_contract.mutants.bank import load_bank
from jobkit_contract.mutants.matrix import as_table, idle_clauses, try_faults
from jobkit_contract.registry import load_contract


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--only", default="", metavar="TEXT", help="Only faults whose name holds this.")
@click.option("--quick", is_flag=True, help="Try each fault on the clause that must catch it, and on no other.")
@click.option("--details", is_flag=True, help="Show what each failing check said.")
def main(seed: int, only: str, quick: bool, details: bool) -> None:
    """Try every fault of the bank, and the reference, which must pass."""
    registry = load_contract()
    faults = [fault for fault in load_bank().values() if only in fault.name]
    rows = try_faults(registry, faults, seed=seed, own_clause_only=quick)
    click.echo(as_table(registry, rows))
    for row in rows:
        for outcome in row.outcomes:
            if outcome.detail and (details or (row.wrong and not row.fault.clause)):
                click.echo(f"\n{row.fault.name}: {outcome.check}\n{outcome.detail}")
    wrong = [row for row in rows if row.wrong]
    click.echo(f"\n{len(rows) - len(wrong)} of {len(rows)} as they should be; seed {seed}")
    if not quick and not only and (idle := idle_clauses(registry, rows)):
        click.echo(f"clauses that caught nothing: {', '.join(idle)}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
