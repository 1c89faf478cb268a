FROM docker.io/library/python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock ./
RUN pip install -c requirements.lock hatchling \
    && python -m venv --without-pip /opt/celeriac
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
COPY alerting alerting
COPY grafana grafana
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && pip --python /opt/celeriac/bin/python install --only-binary :all: -c requirements.lock "$(echo /dist/*.whl)[sidecar,postgresql]"


FROM docker.io/library/python:3.13-slim
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Celeriac" \
      org.opencontainers.image.description="A Prometheus exporter for Celery, and its sidecar" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
ENV PATH=/opt/celeriac/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/celeriac /opt/celeriac
# A number, because Kubernetes' runAsNonRoot cannot judge a name.
USER 65532:65532
# The exporter's; the sidecar's.
EXPOSE 9808 8000
# A sidecar needs CELERIAC_PORT=8000 for this. http.client, because urllib would ask a proxy from the environment.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('CELERIAC_PORT') or 9808), timeout=3); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["celeriac"]
CMD ["exporter"]
