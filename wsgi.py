"""The application object for a WSGI server; `python wsgi.py` serves it with waitress."""

from app.cli import serve

if __name__ == "__main__":
    serve()
