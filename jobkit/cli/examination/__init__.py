"""What `jobkit doctor` looks at, one subject after the other."""
