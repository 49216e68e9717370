# Postern in a container: the one file of `npm run package`, the few libraries that it needs, the policies, what it is made of. No
# shell, no npm, no package manager, no configuration.
#
#   docker build --tag postern --build-arg COMMIT=$(git rev-parse --short=12 HEAD) .
#   docker run --publish 25:25 --env POSTERN_UPSTREAM=10.0.0.10:25 --env POSTERN_ACCEPTED_DOMAIN=example.com postern
#   docker run --rm postern demo --once
#
# Or with a file: --volume ./postern.yaml:/etc/postern/postern.yaml:ro --env POSTERN_CONFIG=/etc/postern/postern.yaml
# It runs as user 1000, writes nothing, and needs no capability; deploy/README.md says what port 25 asks for.
# Not chosen: dist/ upon a slim Node, which is larger, starts later and brings a shell along (docs/appliance-container.md).
ARG BASE=node:26-bookworm-slim
ARG RUNTIME=gcr.io/distroless/cc-debian12

FROM ${BASE} AS build
# strip, for a fifth of the size; libatomic, which Node 26 wants and distroless images have not
RUN apt-get -q -o APT::Sandbox::User=root update && apt-get -q -y -o APT::Sandbox::User=root install --no-install-recommends binutils libatomic1
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# Without install scripts: the only one there is would fetch a Node, and this is one.
RUN npm ci --ignore-scripts
COPY tsconfig.json LICENSE ./
COPY build build
COPY policies policies
COPY src src
ARG COMMIT
ARG SOURCE_DATE_EPOCH
RUN POSTERN_COMMIT=${COMMIT} node build/package.ts "linux-$(node -p process.arch)" \
 && mv packages/postern-* packages/postern \
 && cp "$(ldd packages/postern | awk '/libatomic/ { print $3 }')" packages/libatomic.so.1

FROM ${RUNTIME}
ARG RUNTIME
ARG COMMIT
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Postern" \
      org.opencontainers.image.description="A streaming SMTP relay firewall: judges every RCPT in front of a mail server that can no longer defend itself" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.base.name="${RUNTIME}"
COPY --from=build /build/packages/libatomic.so.1 /usr/lib/
COPY --from=build /build/packages/postern /usr/bin/postern
COPY --from=build /build/packages/LICENSES.txt /build/packages/sbom.cdx.json /usr/share/doc/postern/
COPY policies /usr/share/postern/policies
USER 1000:1000
EXPOSE 25 9125
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/usr/bin/postern", "health"]
# `run` ends within its drain time (8 s) of SIGTERM, before Docker's 10 s are over.
ENTRYPOINT ["/usr/bin/postern"]
CMD ["run"]
