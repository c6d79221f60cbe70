"""The kit for plugin authors: servers on loopback that record and answer as told, and the contracts as tests."""
