"""What people see of executions: the event log folded into a tree. Reads no store itself."""
