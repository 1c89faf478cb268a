"""The guided tour: made-up histories of a shop's cluster, each with an incident, as pictures.

Nothing here runs in production. ``python -m grafana.tour`` back-fills a Prometheus with each
history, evaluates the rules over it, and has the preview draw the dashboards.
"""
