"""Tests of what is told of the platform's own work."""
