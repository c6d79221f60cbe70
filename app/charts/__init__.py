"""Numbers over time: series of the registered chart providers, their API and their page."""
