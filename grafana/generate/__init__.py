"""The five dashboards as data: ``python -m grafana.generate`` writes ``grafana/dashboards``."""
