"""What is said and how it is read: messages, numbers, sizes, standard output."""
