"""Reading and writing files: whole or not at all, and with limits on what others made."""
