"""A report every morning, started by the clock: each day once, whatever is restarted."""

from polos import SchedulePayload, WorkflowContext, workflow


def fetch_sales(day: str) -> dict[str, object]:
    """Stands for a request to another system."""
    return {"day": day, "orders": 12, "total": 340}


def send_report(report: str) -> None:
    """Stands for a mail."""
    print(report)


# Minute, hour, day of the month, month, day of the week. `catchup` is what happens with days on which nothing ran
# ("latest": one run for all of them), `overlap` what happens while the run of the day before is not over ("skip").
@workflow(schedule={"cron": "0 9 * * *", "timezone": "Europe/Berlin", "catchup": "latest", "overlap": "skip"})
async def daily_report(ctx: WorkflowContext, input: SchedulePayload) -> dict[str, object]:
    """Fetches the day's sales and sends them."""
    day = f"{input.timestamp:%Y-%m-%d}"  # the slot, not the instant at which it really started
    sales = await ctx.step.run("fetch", fetch_sales, day)

    report = f"{day}: {sales['orders']} orders, {sales['total']} EUR"
    if input.missed:
        report += f" ({input.missed} days before had no report)"
    await ctx.step.run("send", send_report, report)
    return {"day": day, "report": report}
