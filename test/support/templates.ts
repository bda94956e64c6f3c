/**
 * An app made for tests: a small web server that answers its VERSION on port 8080 and 500 on /bad, and a worker.
 * FAIL=1 fails its health check, CRASH=n ends it after n seconds, HEALTH is the path that is verified.
 */
export function webApp(options: {
  image: string;
  /** More services, indented by two. */
  more?: string;
  bake?: string;
  replicas?: string;
  command?: string;
  /** What it answers when no variable says otherwise. */
  version?: string;
}): string {
  return `
services:
  web:
    image: \${IMAGE:-${options.image}}
    command: ${options.command ?? WEB_COMMAND}
    environment: { VERSION: "\${VERSION:-${options.version ?? '1'}}", CRASH: "\${CRASH:-}", FAIL: "\${FAIL:-0}" }
    healthcheck:
      test: ["CMD-SHELL", "test \\"$$FAIL\\" = 0 && wget -q -O /dev/null http://127.0.0.1:8080/"]
      interval: 1s
      retries: 2
      start_interval: 100ms
    stop_signal: SIGQUIT
    stop_grace_period: 2s
    tmpfs: [/tmp]
    deploy:
      replicas: ${options.replicas ?? '1'}
      resources: { limits: { memory: 64M, cpus: "1.0" }, reservations: { memory: "\${MEMORY:-8M}", cpus: "0.01" } }
    x-berth: { route: { port: 8080, health: "\${HEALTH:-/}" }, drain: 5s }
${options.more ?? ''}
x-berth:
  bake: ${options.bake ?? '1s'}
  release: { service: web, command: ["true"] }
`;
}

const WEB_COMMAND = JSON.stringify([
  'sh',
  '-c',
  'echo version $$VERSION; if [ -n "$$CRASH" ]; then serve & sleep $$CRASH; echo it crashes >&2; exit 1; fi; exec serve',
]);

/** A service that only lives, to be put beside the web server. */
export function sleeper(name: string, image: string, extra = ''): string {
  return `
  ${name}:
    image: ${image}
    command: ["sleep", "100000"]
    init: true
    stop_grace_period: 2s
    deploy: { resources: { limits: { memory: 32M, cpus: "0.5" }, reservations: { memory: 8M, cpus: "0.01" } } }
${extra}`;
}
