# docker build --tag rollcall .
# docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/rollcall:0.1.0 --push .

# Compiled on the machine's own architecture for the image's: quicker than on an emulated one.
FROM --platform=$BUILDPLATFORM rust:1.95-bookworm AS build
ARG BUILDARCH
ARG TARGETARCH
ARG PROFILE=release
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && if [ "$TARGETARCH" != "$BUILDARCH" ]; then case "$TARGETARCH" in \
      arm64) apt-get install --yes --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;; \
      amd64) apt-get install --yes --no-install-recommends gcc-x86-64-linux-gnu libc6-dev-amd64-cross ;; \
    esac; fi \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN case "$TARGETARCH" in arm64) machine=aarch64 ;; amd64) machine=x86_64 ;; esac \
 && rustup target add "$machine-unknown-linux-gnu"
RUN hack/image-root /image "$PROFILE" "$TARGETARCH"

# Nothing but the program and the certificates: no shell, no package, no account but a number.
FROM scratch
COPY --from=build /image /
USER 65532:65532
ENTRYPOINT ["/rollcall"]
LABEL org.opencontainers.image.title="rollcall" \
      org.opencontainers.image.licenses="Apache-2.0"
