"""The description of the API: built from routes and schemas, served as JSON and as a page."""
