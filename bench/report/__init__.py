"""What is made of the records."""
