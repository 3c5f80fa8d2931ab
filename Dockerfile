# The demo in a container. docs/security.md says what is promised of it, and compose.yaml puts a proxy before it.
#
#   docker build -t wctstyle .
#   docker run --rm -p 127.0.0.1:7860:7860 --read-only --tmpfs /tmp -v wctstyle:/data wctstyle
#
# The network is needed to build it, and not when it runs.

FROM python:3.12-slim AS build
ARG EXTRAS=video
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY weights weights
COPY wctstyle wctstyle
RUN python -m venv /opt/wctstyle && /opt/wctstyle/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:3.12-slim
COPY --from=build /opt/wctstyle /opt/wctstyle
RUN useradd --uid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin wctstyle \
    && install -d -o wctstyle -g wctstyle -m 700 /data
# Weights that were added, looks and compiled programs are below /data; uploads are in /tmp until they are read.
ENV PATH=/opt/wctstyle/bin:$PATH \
    HOME=/data \
    WCTSTYLE_HOME=/data/home \
    XDG_CACHE_HOME=/data/cache \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER wctstyle
WORKDIR /data
VOLUME /data
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 7860, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["wctstyle"]
CMD ["demo", "--host", "0.0.0.0", "--port", "7860", "--metrics", "--log-format", "json"]
