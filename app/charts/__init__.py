"""Time series of the registered chart providers, their API and their page."""
