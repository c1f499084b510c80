"""What every SQL store shares: transactions as generators of named statements, and the statements."""
