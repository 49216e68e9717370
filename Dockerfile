# Postern in a container: dist/, the packages that it runs on, the policies. No compiler, no tests, no configuration.
#
#   docker build --tag postern .
#   docker run --publish 25:25 --env POSTERN_UPSTREAM=10.0.0.10:25 --env POSTERN_ACCEPTED_DOMAIN=example.com postern
#
# Or with a file: --volume ./postern.yaml:/etc/postern/postern.yaml:ro --env POSTERN_CONFIG=/etc/postern/postern.yaml
# It runs as user 1000, writes nothing, and needs no capability; deploy/README.md says what port 25 asks for.
ARG BASE=node:24-slim

FROM ${BASE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# Without install scripts: the only one there is would fetch a Node, and this is one.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM ${BASE}
ENV NODE_ENV=production
WORKDIR /opt/postern
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY policies policies
COPY deploy/health.mjs ./
USER 1000:1000
EXPOSE 25
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["node", "/opt/postern/health.mjs"]
# `run` ends within its drain time (8 s) of SIGTERM, before Docker's 10 s are over.
ENTRYPOINT ["node", "--max-semi-space-size=4", "/opt/postern/dist/main.js"]
CMD ["run"]
