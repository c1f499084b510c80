"""What workflow code had better not do outside of steps: the calls, and what to write instead. Looks at no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. `why` completes "... ", `instead` says what to write."""

    code: str
    name: str
    why: str
    instead: str


UNUSED = Rule("PC100", "unused-waiver", "this waiver waives nothing", "take it out")
CLOCK = Rule(
    "PC101", "clock", "the time is another one in each replay", 'await ctx.step.now("key"), or read it in a step'
)
CHANCE = Rule(
    "PC102", "chance", "chance is another one in each replay", 'await ctx.step.random("key") or ctx.step.uuid("key")'
)
BLOCKS = Rule("PC103", "blocking", "it holds up every other workflow of the process, and runs again in each replay",
              'await ctx.step.run("key", function)')  # fmt: skip
UNAWAITED = Rule(
    "PC104", "unawaited-step", "the step is asked for and nobody awaits it", "await it, or give it to asyncio.gather"
)
LOOPED = Rule(
    "PC105",
    "key-in-a-loop",
    "the key is the same in each turn of the loop",
    'put the loop variable into it: f"key-{item}"',
)
TWICE = Rule("PC106", "key-used-twice", "the key is used twice", "give each step its own key")
RAW_IO = Rule("PC107", "raw-io", "what is awaited outside of steps is not recorded, and runs again in each replay",
              'await ctx.step.run("key", function)')  # fmt: skip
THREADS = Rule("PC108", "threads", "a thread's work is not recorded, and comes at another moment in each replay",
               'await ctx.step.run("key", function): a function that is not async runs in a thread by itself')  # fmt: skip
ENVIRONMENT = Rule(
    "PC109",
    "environment",
    "the environment may be another one when it goes on",
    "read it in a step, or when the module is imported",
)
UNORDERED = Rule("PC110", "unordered", "a set has another order in each process", "sort it: for item in sorted(items)")
SWALLOWS = Rule(
    "PC111", "swallows-cancel", "it catches the cancel of the execution, too", "except Exception, or raise again"
)

RULES = (UNUSED, CLOCK, CHANCE, BLOCKS, UNAWAITED, LOOPED, TWICE, RAW_IO, THREADS, ENVIRONMENT, UNORDERED, SWALLOWS)

# By the dotted name of what is called; one that ends in a dot is all of a module.
CALLS: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns",
         "time.localtime", "time.gmtime", "time.ctime", "time.strftime", "datetime.datetime.now", "datetime.datetime.utcnow",
         "datetime.datetime.today", "datetime.date.today"),
        CLOCK,
    ),
    **dict.fromkeys(("random.", "secrets.", "numpy.random.", "os.urandom", "uuid.uuid1", "uuid.uuid4"), CHANCE),
    **dict.fromkeys(
        ("time.sleep", "requests.", "urllib.request.", "subprocess.", "os.system", "os.popen", "open", "input", "socket.",
         "sqlite3.", "smtplib.", "ftplib.", "http.client.", "psycopg.connect", "psycopg2.", "pymysql.", "shutil.", "httpx.get",
         "httpx.post", "httpx.put", "httpx.patch", "httpx.delete", "httpx.request", "httpx.stream", "httpx.Client"),
        BLOCKS,
    ),
    **dict.fromkeys(
        ("asyncio.to_thread", "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "asyncio.open_connection",
         "asyncio.open_unix_connection", "asyncio.start_server", "httpx.AsyncClient", "aiohttp.", "aiofiles.", "asyncpg.",
         "aiosqlite."),
        RAW_IO,
    ),
    **dict.fromkeys(
        ("threading.", "concurrent.futures.", "multiprocessing."), THREADS
    ),
    **dict.fromkeys(("os.getenv", "os.environ.get"), ENVIRONMENT),
}  # fmt: skip
METHODS: Mapping[str, Rule] = {"run_in_executor": RAW_IO}


def rule_of(dotted: str) -> Rule | None:
    """Returns the rule that a call of that name breaks."""
    found = CALLS.get(dotted)
    parts = dotted.split(".")
    for length in range(len(parts) - 1, 0, -1) if found is None else ():
        found = found or CALLS.get(".".join(parts[:length]) + ".")
    return found
