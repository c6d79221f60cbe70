"""Test kit for plugins: recording servers on loopback, and contract tests."""
