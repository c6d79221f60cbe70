"""The web layer: access rules, requests, responses, errors, forms and formats."""
