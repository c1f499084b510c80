"""What the pages are made of: lists, trees, a timeline. None reads the store; they post messages."""
