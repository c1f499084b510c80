"""Lets days pass on an engine of its own, whose clock jumps."""

from polos.testing import PolosEnv
from workflows.schedule import daily_report


def test_a_report_every_morning(polos_env: PolosEnv) -> None:
    polos_env.advance(days=3)

    reports = [execution.result for execution in polos_env.executions(daily_report)]
    assert [report["day"] for report in reports] == ["2030-01-01", "2030-01-02", "2030-01-03"]


def test_sends_what_it_fetched(polos_env: PolosEnv) -> None:
    polos_env.mock_step("fetch", {"orders": 1, "total": 9})
    sent = polos_env.mock_step("send", None)

    assert polos_env.run(daily_report)["report"].endswith("1 orders, 9 EUR")
    assert sent.calls == 1
