# The maintenance worker: compiled code and production dependencies on Node 24, for any uid and a read-only root file system.
#   docker build -t mcp-gateway-maintenance .
# A tag can be moved; a digest cannot. `docker buildx imagetools inspect node:24.21.0-bookworm-slim` says what yours is at the moment:
#   docker build --build-arg NODE_IMAGE=node:24.21.0-bookworm-slim@sha256:… -t mcp-gateway-maintenance .

ARG NODE_IMAGE=node:24.21.0-bookworm-slim
FROM ${NODE_IMAGE} AS base
WORKDIR /app

# Compiles src/ into dist/.
FROM base AS build
COPY package.json package-lock.json .npmrc ./
COPY tools/node24 tools/node24
RUN npm ci
COPY tsconfig.json ./
COPY tools/build.ts tools/
COPY src src
RUN npm run build
COPY bin bin
COPY config config
COPY migrations migrations
# The image runs as any user, whatever the umask was where the files come from.
RUN chmod -R a+rX,go-w bin config dist migrations package.json

# Production dependencies. tools/node24 belongs to the development dependencies; npm only checks that it is there.
FROM base AS dependencies
COPY package.json package-lock.json .npmrc ./
COPY tools/node24 tools/node24
RUN npm ci --omit=dev
# What better-sqlite3 brings for other systems, and its sources.
RUN cd node_modules/better-sqlite3 && rm -rf deps src prebuilds/darwin-* prebuilds/linuxmusl-* prebuilds/win32-*

FROM base
LABEL org.opencontainers.image.title="mcp-gateway-maintenance" \
      org.opencontainers.image.description="Migrations and retention for the Secure MCP Gateway's database" \
      org.opencontainers.image.licenses="MIT"
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/package.json ./
COPY --from=build /app/migrations migrations
COPY --from=build /app/config config
COPY --from=build /app/bin bin
COPY --from=build /app/dist dist

# A purge makes many objects and keeps few: without this its young part grows for what is already garbage.
ENV NODE_OPTIONS=--max-semi-space-size=1

# The worker touches this file every 30 s. Mount a tmpfs on /tmp where the root file system is read-only.
ENV HEALTH_FILE=/tmp/alive
# No Node is started for a check: the age of the file is looked at.
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
  CMD find "$HEALTH_FILE" -mmin -2 | grep -q .

# The gateway's data folder goes here when its database is a SQLite file: the default URL is relative to the working directory.
WORKDIR /data
# A SQLite file must be opened by the user who owns it: give the gateway's with `user:` or --user.
USER 1000:1000
# Node itself is process 1, so that it hears SIGTERM.
ENTRYPOINT ["node", "/app/bin/mcp-gateway-maintenance.js"]
