# deepres on a CPU. CONTRIBUTING.md says how to build and run it.
FROM python:3.12-slim

# A training step's fused kernels are C that is compiled at first use.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

# The package index with PyTorch's builds for CPUs. Without one pip takes the standard build, which
# on x86-64 brings several GB of CUDA along.
ARG TORCH_INDEX=""
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch>=2.11" "torchvision>=0.26"; \
    fi

COPY pyproject.toml README.md LICENSE /deepres/
COPY results /deepres/results
COPY src /deepres/src
RUN pip install --no-cache-dir "/deepres[detection,app]"

# Runs are left in the folder that is mounted here, by any user.
ENV HOME=/tmp
WORKDIR /work
ENTRYPOINT ["deepres"]
