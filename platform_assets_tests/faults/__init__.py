"""Tests that kill processes and let them collide, and what these tests share."""
