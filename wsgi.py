"""The application object for a WSGI server; `python wsgi.py` serves it with waitress.

Assigned here and not on demand: mod_wsgi and uWSGI look into the dictionary of the module alone.
"""

if __name__ == "__main__":
    from app.cli import serve

    serve()
else:
    from app.factory import create_app

    application = app = create_app()
