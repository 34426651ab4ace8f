"""Servers on loopback that do exactly what a test tells them to."""
