"""A worker process of one generation: imports the user's code, checks it, and runs it as its server tells it.

Started as ``python -m polos.dev.child DESCRIPTOR PARENT``. Until the order to load comes it is a spare one, with polos
imported and nothing of the user's. Ends when its server does, whatever it is doing.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from polos.dev.control import ChildEnd

if TYPE_CHECKING:
    from polos.local.host import Host

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_DIED_ALONE = 3
_FAULTY = 4


def main(descriptor: int, parent: int) -> None:
    """Runs until told to end."""
    _die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the server's to decide on
    server = ChildEnd(descriptor, on_end=lambda: os._exit(_DIED_ALONE))
    _call_it("polos-spare")
    _import_polos()
    order = server.first()
    assert order["do"] == "load", order
    settings: dict[str, Any] = order["settings"]
    _call_it("polos-worker")
    from polos.worker.slow import watched_import

    try:
        with watched_import(lambda text: server.send({"is": "warned", "text": text})):
            manifest, registry, root = _load(settings)
    except Exception as error:  # of the user's modules, whatever they raise
        _refuse(server, error)
        return
    server.send({"is": "loaded", "manifest": manifest})
    with asyncio.Runner() as runner:
        runner.run(_serve(server, settings, registry, root, manifest["code"]))


def _leave(code: int) -> NoReturn:
    """Ends the process: threads of bodies that do not end hold up nothing."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _refuse(server: ChildEnd, error: Exception) -> None:
    """Lets the server say it, which has a person's terminal."""
    from polos.errors import PolosError

    told = (error.message, error.hint) if isinstance(error, PolosError) else (f"{type(error).__name__}: {error}", "")
    trace = getattr(error, "traceback_text", "") or ""
    server.send({"is": "refused", "message": told[0], "hint": told[1], "traceback": trace})


def _import_polos() -> None:
    """Imports what the orders need, which takes most of the time that a reload has."""
    import polos.dev.compat
    import polos.local.host
    import polos.local.project
    import polos.store.sqlite.reader
    import polos.wire.remote
    import polos.worker.slow  # noqa: F401


def _load(settings: dict[str, Any]) -> tuple[dict[str, Any], Any, Path]:
    from polos.authoring.registry import REGISTRY
    from polos.local.project import load_environment, load_project
    from polos.settings import load_settings
    from polos.worker.identity import code_identity

    root = Path(settings["root"])
    found = load_settings(root)
    names = load_environment(found)
    load_project(found)
    return {
        "code": code_identity(REGISTRY, root), "workflows": sorted(one.id for one in REGISTRY),
        "names": REGISTRY.names,
        "schedules": sum(one.schedule is not None for one in REGISTRY),
        "triggers": sum(one.trigger is not None for one in REGISTRY), "env": names,
    }, REGISTRY, root  # fmt: skip


async def _serve(server: ChildEnd, settings: dict[str, Any], registry: Any, root: Path, code: str) -> None:
    from polos.local.host import Host

    def warn(text: str) -> None:
        server.send({"is": "warned", "text": text})

    def failed(fault: asyncio.Future[BaseException]) -> None:
        warn(f"a worker cannot go on: {fault.result()}")
        _leave(_FAULTY)  # the server starts another one

    host: Host | None = None
    is_hurried = False
    while True:
        order = await server.next()
        match order["do"]:
            case "check":
                server.send({"is": "checked", **await _check(settings["database"], registry, code, order["limit"])})
            case "work":
                host = Host(
                    settings["database"], registry, durability=settings["durability"], may_own=False,
                    lease_seconds=settings["lease_seconds"], project=settings["project"], project_root=root,
                    complete=True, is_checked=True, max_concurrent_workflows=settings["concurrency"], labels_lines=True,
                    on_warning=warn,
                )  # fmt: skip
                try:
                    await host.start()
                    await host.begin()
                except Exception as error:  # whatever keeps it from working is told where the person is
                    _refuse(server, error)
                    _leave(0)
                assert host.fault is not None
                host.fault.add_done_callback(failed)
                server.send({"is": "working"})
            case "hurry":  # came before the order to retire, which has no grace then
                is_hurried = True
            case "retire":
                if host is not None:
                    await _retire(host, server, 0 if is_hurried else order["grace"])
                server.send({"is": "gone"})
                _leave(0)
            case other:
                raise AssertionError(f"an order {other!r}")


async def _retire(host: Host, server: ChildEnd, grace: float) -> None:
    """Lets its bodies end within their grace, or until the server will wait no longer."""
    leaving = asyncio.ensure_future(host.stop(grace, lambda: server.send({"is": "retiring"})))
    hurried = asyncio.ensure_future(_hurry(server))
    await asyncio.wait({leaving, hurried}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not leaving.done():
        leaving.cancel()
        await asyncio.wait({leaving})
        await host.stop(0)
    else:
        leaving.result()


async def _hurry(server: ChildEnd) -> None:
    """Returns when the server will wait no longer."""
    while (await server.next())["do"] != "hurry":
        pass


async def _check(database: str, registry: Any, code: str, limit: float) -> dict[str, Any]:
    from polos.clock import SystemClock
    from polos.dev.compat import check
    from polos.store import open_reader

    reader = open_reader(database)
    try:
        found = await check(reader, registry, code, SystemClock(), limit)
    finally:
        await reader.close()
    return {"checked": asdict(found.checked), "hold": found.hold, "release": found.release}


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(_DIED_ALONE)  # it died before this was set


def _call_it(name: str) -> None:
    """Gives the process a name for `ps` and `top`, where that can be."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
