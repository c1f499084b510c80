"""Which page has which name; each is imported when it is first turned to, so that the dashboard opens at once. Makes none."""

from __future__ import annotations

from polos_cli.dashboard.pages.page import Page


def page_class(name: str) -> type[Page]:
    """Returns the class of a page."""
    match name:
        case "executions":
            from polos_cli.dashboard.pages.executions import ExecutionsPage

            return ExecutionsPage
        case "workflows":
            from polos_cli.dashboard.pages.workflows import WorkflowsPage

            return WorkflowsPage
        case "events":
            from polos_cli.dashboard.pages.events import EventsPage

            return EventsPage
        case "schedules":
            from polos_cli.dashboard.pages.schedules import SchedulesPage

            return SchedulesPage
        case "queues":
            from polos_cli.dashboard.pages.queues import QueuesPage

            return QueuesPage
        case _:
            from polos_cli.dashboard.pages.workers import WorkersPage

            return WorkersPage
