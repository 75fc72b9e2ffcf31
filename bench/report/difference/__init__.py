"""What differs between two stores or studies."""
