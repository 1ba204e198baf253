"""What `run` and `dag-run` print at their end, on standard output."""

from collections.abc import Sequence

import typer

from user_analytics.progress import Stage
from user_analytics.report import wording
from user_analytics.report.figures import Reviewer, Spender
from user_analytics.stages import Outcome
from user_analytics.warehouse.client import Rows
from user_analytics.warehouse.views import format_rows


def print_outcome(outcome: Outcome) -> None:
    """Headline figures, both top-5 tables, the stage times, and where the report and Looker Studio are."""
    typer.echo(_headline(outcome))
    _print_table("Top 5 customers by amount spent", Spender._fields, outcome.figures.top_by_amount_spent)
    _print_table("Top 5 customers by positive reviews", Reviewer._fields, outcome.figures.top_by_positive_reviews)
    _print_stages(outcome.stages)
    typer.echo(f"\nReport         {outcome.report}")
    typer.echo(f"Looker Studio  {outcome.links.report}")
    if outcome.links.note:
        typer.echo(f"               ({outcome.links.note})")


def _headline(outcome: Outcome) -> str:
    figures = outcome.figures
    summary, sentiment, correlation = figures.summary, figures.sentiment, figures.correlation
    lines = [f"Published {figures.ds} ({figures.mode})", ""]
    lines += [
        f"{rows.table:<15}{wording.number(rows.published)} rows published, "
        f"{wording.number(rows.quarantined)} quarantined"
        for rows in figures.tables
    ]
    judged = f"{wording.number(sentiment.positive)} positive, {wording.number(sentiment.negative)} negative"
    coefficient = wording.coefficient(correlation.amount_spent_vs_num_reviews)
    lines += [
        f"customers      {wording.number(summary.customers)}",
        f"amount spent   {wording.money(summary.amount_spent)}",
        f"reviews        {judged}, {wording.number(sentiment.not_judged)} not judged",
        f"correlation    {coefficient} between amount spent and number of reviews",
    ]
    return "\n".join(lines)


def _print_table(title: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    typer.echo(f"\n{title}\n{format_rows(Rows(list(columns), list(rows)), 'table').rstrip()}")


def _print_stages(stages: Sequence[Stage]) -> None:
    """With the memory where it is known: of a stage that ran in a pod it is not."""
    rows: list[tuple[object, ...]] = [(stage.name, f"{stage.seconds:.1f}") for stage in stages]
    columns = ["stage", "seconds"]
    memory = [stage.peak_memory_bytes for stage in stages]
    if any(memory):
        columns.append("peak_memory_mb")
        rows = [(*row, peak and peak >> 20) for row, peak in zip(rows, memory, strict=True)]
    _print_table("Stage times", columns, rows)
