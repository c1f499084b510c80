"""Runs the workflow as it is, on an engine of its own: its pause takes no time here."""

from polos.testing import PolosEnv, assert_steps
from workflows.hello import hello


def test_greets_by_name(polos_env: PolosEnv) -> None:
    result = polos_env.run(hello, {"name": "Ada"})

    assert result["greeting"] == "Hello, Ada!"
    assert result["letters"] == 8
    assert result["said"] == ["Hello, Ada!", "HELLO, ADA!"]


def test_goes_on_where_it_was_after_a_crash(polos_env: PolosEnv) -> None:
    polos_env.crash_at("shout", when="before_body")
    execution = polos_env.start(hello, {"name": "Ada"})
    assert execution.waiting_for == ["pause"]

    polos_env.restart()
    polos_env.advance(seconds=1)

    assert execution.status == "completed"
    assert polos_env.bodies_run("compose") == 1
    assert_steps(execution, ["compose", "count_letters", "shout", "say-0", "say-1", "pause"], in_any_order=True)
