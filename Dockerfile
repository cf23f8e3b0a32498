# The program with its runtime dependencies alone: no local stack, no test or build tool. The last stage is the worker's
# image; docker build --target producers is one for `siltstone wrap` and every `siltstone import`, to run or to build an
# agent's image on.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements-build.lock requirements-runtime.lock ./
RUN python -m venv --without-pip /opt/siltstone \
  && pip --python /opt/siltstone/bin/python install \
    --no-cache-dir --require-hashes --only-binary :all: -r requirements-runtime.lock \
  && pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-build.lock
COPY pyproject.toml README.md ./
COPY alembic alembic
COPY contracts contracts
COPY examples examples
COPY localstack localstack
COPY persistence persistence
COPY producers producers
COPY workers workers
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
  && pip --python /opt/siltstone/bin/python install --no-cache-dir --no-deps --no-index /wheels/*.whl

FROM build AS build-producers
COPY requirements-producers.lock ./
RUN pip --python /opt/siltstone/bin/python install \
    --no-cache-dir --require-hashes --only-binary :all: -r requirements-producers.lock

FROM python:3.11-slim-bookworm AS base
# The root file system may be read-only, so no bytecode is written at run time: pip wrote it above.
ENV PATH=/opt/siltstone/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin siltstone
WORKDIR /
STOPSIGNAL SIGTERM
ENTRYPOINT ["siltstone"]

FROM base AS producers
COPY --from=build-producers /opt/siltstone /opt/siltstone
# What is not sent yet outlives a container that is removed only on a volume.
ENV SILTSTONE_SPOOL_FOLDER=/var/lib/siltstone
RUN install --directory --owner=siltstone --group=siltstone --mode=0700 "$SILTSTONE_SPOOL_FOLDER"
USER 10001:10001
CMD ["--help"]

FROM base
COPY --from=build /opt/siltstone /opt/siltstone
ENV SILTSTONE_HTTP_PORT=8080
USER 10001:10001
EXPOSE 8080
# http.client takes no proxy from the environment, and the slim image has no curl.
HEALTHCHECK --interval=10s --timeout=10s --start-period=90s --retries=3 \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['SILTSTONE_HTTP_PORT']), timeout=5); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]
CMD ["worker"]
