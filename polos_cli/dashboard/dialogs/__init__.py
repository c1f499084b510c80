"""What is asked and told above a page: questions, forms, the output of a command, the keys."""
