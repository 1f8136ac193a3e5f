# One image: the node, its command line, and the script that prepares a region for trying out (docker-compose.yml).
FROM rust:1.95.0-slim-bookworm AS build
# The image's own toolchain is the one of rust-toolchain.toml; the lints it also names are not needed here.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc g++ libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Two builds with a load between them: most of an hour.
RUN scripts/release

FROM debian:bookworm-slim
# curl asks /readyz in the health check.
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/shouwang --create-home shouwang
COPY --from=build /src/target/delivered/shouwang /usr/local/bin/shouwang
COPY scripts/prepare-region /usr/local/bin/prepare-region
USER shouwang
WORKDIR /var/lib/shouwang
VOLUME /var/lib/shouwang
# Other nodes, operators, metrics and health.
EXPOSE 7300 7301 7302
# A graceful stop hands leadership over and drains.
STOPSIGNAL SIGTERM
ENTRYPOINT ["shouwang"]
CMD ["serve"]
