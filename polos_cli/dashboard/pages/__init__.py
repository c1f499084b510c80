"""The pages of the dashboard, one for each key 1 to 6. Each reads through `Reading`, and shows with widgets."""
