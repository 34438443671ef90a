# The edge daemon. Build: docker build -t loopai/edged .
# Run:   docker run -v loopai-data:/loopai-data -p 127.0.0.1:50051:50051 -p 127.0.0.1:8080:8080 \
#          -e LOOPAI_API_KEY -e LOOPAI_CLOUD__API_URL=… --read-only --tmpfs /tmp loopai/edged
FROM python:3.13-slim AS build
WORKDIR /source
COPY requirements/edge.txt requirements/edge.txt
RUN python -m venv /opt/loopai \
    && /opt/loopai/bin/pip install --no-cache-dir --require-hashes -r requirements/edge.txt
COPY pyproject.toml README.md ./
COPY edged edged
COPY controlplane controlplane
COPY clients clients
RUN /opt/loopai/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
COPY --from=build /opt/loopai /opt/loopai
RUN useradd --system --uid 10001 loopai && install -d -o loopai /loopai-data
USER 10001
ENV PATH=/opt/loopai/bin:$PATH
VOLUME /loopai-data
EXPOSE 50051 8080
# Inside a container the doors must face the container's network; publish them on loopback.
ENTRYPOINT ["edged", "serve", "--data-dir", "/loopai-data", "--insecure", \
            "--grpc", "0.0.0.0:50051", "--http", "0.0.0.0:8080"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
