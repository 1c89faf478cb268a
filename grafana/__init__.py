"""The Grafana dashboards: made by ``generate``, loaded through ``provisioning``."""
