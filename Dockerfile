# ptv-hub on CPUs:
#   docker build -t ptv-hub .
#   docker run --rm -v "$PWD:/data" -v ptv-hub-cache:/cache ptv-hub predict x3d_s clip.mp4
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY ptv_hub ptv_hub
COPY manifests manifests
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheels

FROM python:3.11-slim
# With the address of torch's index of builds without CUDA the image is a tenth of the size:
#   docker build --build-arg TORCH_INDEX=... -t ptv-hub .
ARG TORCH_INDEX=
RUN pip install --no-cache-dir torch torchvision ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[openvino,onnx,plot]" && rm -r /wheels
RUN useradd --create-home user && mkdir /cache /data && chown user /cache /data
USER user
ENV PTV_HUB_CACHE=/cache HF_HUB_DISABLE_TELEMETRY=1
VOLUME ["/cache"]
WORKDIR /data
ENTRYPOINT ["ptv-hub"]
CMD ["--help"]
