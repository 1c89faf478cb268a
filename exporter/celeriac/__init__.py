"""Celeriac: see, be warned about and act on a Celery cluster through Prometheus."""

__version__ = "0.1.0"
