"""What users write: workflows, steps, their payloads. Imports no engine and no store."""
