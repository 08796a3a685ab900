# The service, on processors: docker build -t convatlas . && docker run --rm -p 8321:8321 convatlas
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
# PyTorch's build for processors, a twentieth of the one with CUDA; TORCH_INDEX is the address that its page names.
ARG TORCH_INDEX
RUN python -m venv /opt/convatlas \
 && /opt/convatlas/bin/pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--index-url $TORCH_INDEX} torch torchvision \
 && /opt/convatlas/bin/pip install --no-cache-dir --constraint constraints.txt '.[web,fast,data,pretrained]'

FROM python:3.11-slim
RUN useradd --create-home --home-dir /var/lib/convatlas --uid 10001 convatlas
COPY --from=build /opt/convatlas /opt/convatlas
USER convatlas
WORKDIR /var/lib/convatlas
ENV PATH=/opt/convatlas/bin:$PATH PYTHONUNBUFFERED=1 CONVATLAS_OFFLINE=1
EXPOSE 8321
HEALTHCHECK --start-period=20s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8321/healthz', timeout=3)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["convatlas", "serve", "--host", "0.0.0.0"]
