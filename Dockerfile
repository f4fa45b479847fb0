# docker build --tag rollcall .
# docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/rollcall:0.1.0 --push .

# The build machine's architecture compiles for the image's, which is faster than emulation.
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

# The image has the program, the CA certificates and the licence: no shell, no packages, and a user
# that is a number without a name.
FROM scratch
COPY --from=build /image /
USER 65532:65532
ENTRYPOINT ["/rollcall"]
LABEL org.opencontainers.image.title="rollcall" \
      org.opencontainers.image.licenses="Apache-2.0"
