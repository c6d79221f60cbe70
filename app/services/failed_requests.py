"""Why an outside server gave no answer, in words that hold no address: it may have a token in it."""

import requests


def describe_failure(error: Exception, timeout_s: float) -> str:
    """Return a few words about what a request raised."""
    if isinstance(error, requests.Timeout | TimeoutError):
        return f"no answer within {timeout_s:g} seconds"
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection"
    return str(error) if isinstance(error, requests.HTTPError) else "no connection to the server"
