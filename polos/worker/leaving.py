"""How a worker that leaves gives back what it runs: each execution as soon as no body of it runs. Claims nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from polos.errors import EngineError
from polos.ports import WorkerStore
from polos.worker.session import Session

log = logging.getLogger(__name__)
RELEASED_WITHIN = 5.0
"""Seconds in which the store has to take back what is given."""
_LOOK_EVERY = 0.005


async def give_back(store: WorkerStore, worker_id: str, running: Mapping[int, Session], grace: float) -> None:
    """Gives back each of the executions that run once its bodies have ended, and all of them after `grace` seconds."""
    retiring = asyncio.get_running_loop().create_task(_retire(store, worker_id))
    try:
        async with asyncio.timeout(grace):
            while running:
                for session in list(running.values()):
                    if session.is_idle:
                        session.release()
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        pass  # cancelled below; they run again elsewhere
    finally:
        retiring.cancel()
        await asyncio.gather(retiring, return_exceptions=True)
    for session in list(running.values()):
        session.release()
    try:
        async with asyncio.timeout(RELEASED_WITHIN if grace else RELEASED_WITHIN / 10):
            while running:
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        log.error("the store did not take %d executions back in time", len(running))


async def _retire(store: WorkerStore, worker_id: str) -> None:
    try:
        await store.retire(worker_id)
    except EngineError:
        pass  # the owner goes, too, and takes what it knows of this worker along
