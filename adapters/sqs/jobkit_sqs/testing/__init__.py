"""For tests: what the real services do, or may do, and emulators do not. Nothing here runs unless a test asks for it."""
