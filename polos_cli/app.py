"""The `polos` command: a table of commands, each imported when it is used. Does no command's work itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, cast

import typer
import typer.core
import typer.main

from polos.errors import PolosError
from polos_cli import errors
from polos_cli.output import stdout
from polos_cli.output.style import is_terminal

# name -> (module with a function `command`, one line for --help)
COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("polos_cli.commands.init", "Write a small working project to start from."),
    "run": ("polos_cli.commands.run", "Start a workflow, watch it live, print its result."),
    "invoke": ("polos_cli.commands.invoke", "Start a workflow and print its execution's id."),
    "send-event": ("polos_cli.commands.send_event", "Publish an event on a topic."),
    "dashboard": ("polos_cli.commands.dashboard", "See and drive everything from the terminal."),
    "ps": ("polos_cli.commands.ps", "List executions."),
    "show": ("polos_cli.commands.show", "Show one execution: its steps, waits, result or error."),
    "events": ("polos_cli.commands.events", "Show the event log."),
    "logs": ("polos_cli.commands.logs", "Show captured output, by execution, step and attempt."),
    "dev": ("polos_cli.commands.dev", "Run the project's workflows with hot reload."),
    "serve": ("polos_cli.commands.serve", "Serve the HTTP API alone; workers attach to it."),
    "worker": ("polos_cli.commands.worker", "Run the project's workflows until stopped."),
    "resume": ("polos_cli.commands.resume", "Answer an execution that waits for a person."),
    "cancel": ("polos_cli.commands.cancel", "End an execution, and its children."),
    "retry": ("polos_cli.commands.retry", "Reopen an execution that failed, was cancelled or is blocked."),
    "replay": ("polos_cli.commands.replay", "Run today's code against recorded executions, with no side effects."),
    "fork": ("polos_cli.commands.fork", "Start a new execution with the history of one before a step."),
    "export": ("polos_cli.commands.export", "Write an execution to one file, for a colleague."),
    "open": ("polos_cli.commands.open", "Check such a file, and say what is in it."),
    "diff": ("polos_cli.commands.diff", "Compare two executions."),
    "chaos": ("polos_cli.commands.chaos", "Crash a workflow at each step, and compare what comes of it."),
    "why": ("polos_cli.commands.why", "Explain why an execution is where it is."),
    "workflows": ("polos_cli.commands.workflows", "List what the project defines, with input schemas."),
    "schedules": ("polos_cli.commands.schedules", "List what the clock starts; trigger, pause, backfill."),
    "queues": ("polos_cli.commands.queues", "List the queues: limits, who runs, how many wait."),
    "check": ("polos_cli.commands.check", "Read workflow code for what does not replay."),
    "doctor": ("polos_cli.commands.doctor", "Check the installation, the project and its database."),
    "version": ("polos_cli.commands.version", "Show the versions of polos and what it runs on."),
}

# typer's own copy of click is private; the root of its command line errors is reached from a public name.
_CommandLineError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


class LazyGroup(typer.core.TyperGroup):
    """The group of all commands: lists them from the table, and imports only the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names of the commands whose modules are there."""
        return [name for name, (module, _) in COMMANDS.items() if find_spec(module)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns a stand-in with the one line of the table, which is all that listings need."""
        if cmd_name not in COMMANDS:
            return None
        line = COMMANDS[cmd_name][1]
        return typer.core.TyperCommand(cmd_name, help=line, short_help=line)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Returns the command that is called, imported; a name not in the table gets a suggestion."""
        name = args[0]
        if name.startswith("-") and name not in COMMANDS:
            return super().resolve_command(ctx, args)
        if name not in self.list_commands(ctx):
            ctx.fail(_unknown(name, self.list_commands(ctx)))
        return name, load_command(name), args[1:]


def load_command(name: str) -> Any:
    """Imports a command of the table and returns it as typer has it."""
    module, line = COMMANDS[name]
    one = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=_markup())
    function = import_module(module).command
    one.command(name=name, short_help=line, help=function.__doc__ or line)(function)
    command = typer.main.get_command(one)
    command.name = name
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code; mistakes are told without a traceback.

    A command ends with the exit code that it returns, or raises in `typer.Exit`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        ended = _group().main(args=given or ["--help"], prog_name="polos", standalone_mode=False)
    except PolosError as error:
        return errors.report(error, as_json)
    except _CommandLineError as error:
        return _report_command_line(error, as_json)
    except (KeyboardInterrupt, typer.Abort):
        return errors.INTERRUPTED
    except OSError as error:
        return errors.report_machine(error, as_json)
    except Exception:  # a bug of ours: said as one, with what a report needs
        import traceback

        return errors.report_bug(traceback.format_exc(), as_json)
    return ended if isinstance(ended, int) else errors.DONE


def _group() -> Any:
    app = typer.Typer(
        cls=LazyGroup,
        name="polos",
        help="Durable workflows in plain Python.",
        epilog="EXECUTION is a number (42), an id, the end of an id, or last.",
        pretty_exceptions_enable=False,
        rich_markup_mode=_markup(),
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    return typer.main.get_command(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from polos_cli.commands.version import polos_version

        stdout.data(f"polos {polos_version()}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit."),
    ] = False,
) -> None:
    """Durable workflows in plain Python."""


def _markup() -> Any:
    # Rich help costs 80 ms and is for people; pipes get plain text at once.
    return "rich" if is_terminal(sys.stdout) else None


def _unknown(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 2, 0.7)
    return f"there is no command {name!r}" + (f": did you mean {' or '.join(near)}?" if near else "")


def _report_command_line(error: BaseException, as_json: bool) -> int:
    shown = cast("Any", error)  # its class is private to typer; these methods are click's documented ones
    context = getattr(shown, "ctx", None)
    path = context.command_path if context is not None else "polos"
    return errors.report_usage(str(shown.format_message()), f"{path} --help", as_json)
