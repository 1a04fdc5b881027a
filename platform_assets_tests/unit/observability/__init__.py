"""Tests of platform_assets.observability."""
