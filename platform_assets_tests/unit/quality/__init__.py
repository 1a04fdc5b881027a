"""Tests of what statistics find."""
