"""What tests say of executions. Drives nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polos.testing.executions import TestedExecution


def assert_steps(execution: TestedExecution, keys: Sequence[str], *, in_any_order: bool = False) -> None:
    """Asserts which steps have an outcome, in the order in which they were recorded; polos's own are left out.

    Raises:
        AssertionError: others have, or in another order.
    """
    found = execution.steps
    wanted = list(keys)
    if found == wanted or (in_any_order and sorted(found) == sorted(wanted)):
        return
    missing = [key for key in wanted if key not in found]
    extra = [key for key in found if key not in wanted]
    told = [f"execution {execution.number} of {execution.workflow_id!r} ({execution.status})", f"  recorded: {found}",
            f"  wanted:   {wanted}"]  # fmt: skip
    if missing:
        told.append(f"  missing:  {missing}")
    if extra:
        told.append(f"  besides:  {extra}")
    if not missing and not extra:
        told.append("  they differ in order only (in_any_order=True lets that pass)")
    raise AssertionError("\n".join(told))
