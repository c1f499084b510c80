"""What the processes do: ``python -m tests.processes.program ACT OPTIONS``, options as one JSON object. Ended by SIGTERM."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import time
import warnings
from typing import Any

from polos import Polos, PolosClient
from polos.store import open_reader
from tests.processes.flows import ALL, LEDGER, is_open, quick


def stop_asked() -> asyncio.Event:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop


async def fork_beside_guests(polos: Polos) -> None:
    """Forks a child that goes on until the gate is opened, once somebody has attached."""
    while len(await polos.workers()) < 2:
        await asyncio.sleep(0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there are threads
        child = os.fork()
    if child == 0:
        ends = time.monotonic() + 60
        while not is_open("child") and time.monotonic() < ends:
            time.sleep(0.02)
        os._exit(0)
    print("forked", flush=True)


async def serve(url: str, works: bool = True, forks: bool = False, **options: Any) -> None:
    """Works, or owns only, until it is asked to stop."""
    stop = stop_asked()
    async with Polos(url, workflows=ALL if works else [], echo=False, **options) as polos:
        if forks:
            await fork_beside_guests(polos)
        serving, stopping = asyncio.create_task(polos.serve()), asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        for task in (serving, stopping):
            task.cancel()
        await asyncio.wait({serving, stopping})


async def once(url: str) -> None:
    """Starts one workflow, waits for its result, and tells when it saw itself own the database."""
    LEDGER.add("ready")
    while not is_open("start"):
        await asyncio.sleep(0.002)

    def look(polos: Polos) -> None:
        if polos.host.owns:  # so it does for the whole of this turn of its loop
            LEDGER.add("owns", time.monotonic_ns())

    async def watch(polos: Polos) -> None:
        while True:
            look(polos)
            await asyncio.sleep(0.005)

    async with Polos(url, workflows=[quick], echo=False, run_on="caller") as polos:
        watching = asyncio.create_task(watch(polos))
        result = await polos.result(await polos.invoke(quick), timeout=60)
        LEDGER.add("got", json.dumps(result))
        watching.cancel()
        await asyncio.wait({watching})
        look(polos)


async def write(url: str) -> None:
    """Starts workflows and runs them, as fast as it can, until it is asked to stop."""
    stop = stop_asked()
    written = 0
    async with Polos(url, workflows=[quick], echo=False, run_on="caller") as polos:
        while not stop.is_set():
            handles = [await polos.invoke(quick) for _ in range(20)]
            await asyncio.gather(*[polos.result(handle, timeout=60) for handle in handles])
            written += len(handles)
            LEDGER.add("written", written)


async def read(url: str) -> None:
    """Reads the file and asks its owner in turns, until it is asked to stop."""
    stop = stop_asked()
    reader = open_reader(url)
    seen = 0
    async with PolosClient(url) as client:
        for turn in itertools.count(1):
            found = await client.list(limit=20)
            for execution in found[:5]:
                again = await client.get(execution.id)
                assert again.number == execution.number
                for entry in await client.journal(execution):
                    assert entry.key == "only"
            counts = await reader.counts()
            total = sum(counts.values())
            assert total >= seen, (total, seen)
            seen = total
            if found:
                await reader.journal(found[0].id)
            if turn == 5:
                LEDGER.add("reads")
            if stop.is_set():
                break
    await reader.close()
    LEDGER.add("read", turn, seen)


ACTS = {act.__name__: act for act in (serve, once, write, read)}

if __name__ == "__main__":
    asyncio.run(ACTS[sys.argv[1]](**json.loads(sys.argv[2])))
