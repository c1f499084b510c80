"""The pure kernel: every decision of polos as a function or a value. No IO, clock, chance or asyncio."""
