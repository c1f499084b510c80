"""What the engine does on its own: timers now; schedules and triggers when they come. Imports no user code."""
