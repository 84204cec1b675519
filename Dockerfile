# AAA as an image: control plane, supervisor, Ray head and Ray workers are the same one, since what runs on
# a Ray node must be the same code on the same Python. Left out: model weights, keys, a database.
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/aaa
COPY requirements.lock ./
RUN /opt/aaa/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY aaa ./aaa
COPY agents ./agents
COPY scenarios ./scenarios
COPY migrations ./migrations
RUN /opt/aaa/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*  # llama.cpp's threads
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin aaa \
    && install --directory --owner aaa --group aaa /var/lib/aaa /etc/aaa/agents /etc/aaa/scenarios
COPY --from=build /opt/aaa /opt/aaa
ENV PATH=/opt/aaa/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=passive \
    RAY_USAGE_STATS_ENABLED=0 \
    AAA_HOME=/var/lib/aaa \
    AAA_AGENTS=/etc/aaa/agents \
    AAA_SCENARIOS=/etc/aaa/scenarios
USER aaa
WORKDIR /var/lib/aaa
EXPOSE 8700
ENTRYPOINT ["aaa"]
CMD ["--help"]
