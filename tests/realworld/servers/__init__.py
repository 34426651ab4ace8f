"""Real servers, installed by package name and run on loopback for the length of a test session."""
