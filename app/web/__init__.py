"""The web layer: access rules, requests and answers, errors, forms, formats, languages, static files."""
