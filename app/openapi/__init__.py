"""The OpenAPI document, built from routes and schemas, as JSON and as a page."""
