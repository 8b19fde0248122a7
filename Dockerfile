# One image for every process; the command picks it: serve (ingest and api on one port), ingest, api, worker, migrate.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/headrace
COPY requirements/service.txt requirements/install.sh requirements/
# Wheels only: a dependency that wants a compiler fails here instead of bringing one along.
RUN sh requirements/install.sh /opt/headrace/bin/python requirements/service.txt
COPY pyproject.toml README.md LICENSE ./
COPY collector collector
COPY worker worker
# What only builds (setuptools, pip) stays behind; byte code is made now because the root may be read-only later.
RUN sh requirements/install.sh /opt/headrace/bin/python --project . \
    && /opt/headrace/bin/python -m pip uninstall --quiet --yes setuptools pip \
    && /opt/headrace/bin/python -m compileall -q /opt/headrace/lib

FROM ${PYTHON_IMAGE}
# `make image` takes it from pyproject.toml; the workflow of releases also passes the commit.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Headrace" \
      org.opencontainers.image.description="A self-hosted event collector that speaks the Exceptionless API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.documentation="https://github.com/headrace/headrace/blob/main/docs/deploying.md" \
      org.opencontainers.image.source="https://github.com/headrace/headrace"
RUN groupadd --gid 10001 headrace \
    && useradd --uid 10001 --gid headrace --no-log-init --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin headrace
COPY --from=build /opt/headrace /opt/headrace
ENV PATH=/opt/headrace/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HEADRACE_HOST=0.0.0.0 \
    HEADRACE_LOG_FORMAT=json
USER 10001:10001
WORKDIR /
# ingest and serve listen on 8080, api on 8081, worker on 8082 (health and metrics), unless HEADRACE_PORT says otherwise.
EXPOSE 8080 8081 8082
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=8s --start-period=30s --retries=3 CMD ["headrace", "health"]
ENTRYPOINT ["headrace"]
CMD ["serve"]
