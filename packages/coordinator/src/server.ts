import { VERSION } from '@berth/shared/domain/version';
import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { Config } from './config.ts';
import type { CoordinatorContext } from './context.ts';
import { attachGateway } from './gateway/attach.ts';
import { createApi } from './http/app.ts';
import { limitConnections } from './http/connections.ts';
import { createHttpServer } from './http/http-server.ts';
import { addressesIn } from './http/settings.ts';
import type { Log } from './services/fleet-types.ts';

export interface RunningServer {
  /** Base address of the API. */
  url: string;
  /** Resolves when the signal has aborted and every connection is closed. */
  closed: Promise<void>;
}

/** How many connections may wait to be accepted: a fleet comes back all at once. */
const BACKLOG = 4096;
/** This machine itself, and with it a proxy that runs here, speaks for many. */
const LOOPBACK = ['127.0.0.0/8', '::1'];
/** How long running requests may take to end when the coordinator stops. */
const DRAIN_MS = 5_000;

/** Opens both doors, the API and the agents', on one port. Errors: `unavailable` when it cannot be listened on. */
export async function startServer(
  context: CoordinatorContext,
  { listen, http }: Pick<Config, 'listen' | 'http'>,
  log: Log,
  signal: AbortSignal,
): Promise<RunningServer> {
  const api = createApi({
    services: context.services,
    store: context.store,
    feed: context.feed,
    version: VERSION,
    clock: context.clock,
    requestId: randomUUID,
    log,
    agents: () => context.fleet.stats().agents,
    signal,
    settings: http,
    proven: (socket) => connections.proven(socket),
  });
  const listener = getRequestListener(api.fetch);
  const server = createHttpServer(
    http,
    (incoming, outgoing) => void listener(incoming, outgoing),
    (socket) => connections.proven(socket),
  );
  const proxies = addressesIn([...http.trustedProxies, ...LOOPBACK]);
  const connections = limitConnections(server, http.limits.connections, (address) =>
    proxies.has(address.replace(/^::ffff:/, '')),
  );
  const running = countRequests(server);
  const gateway = attachGateway({ server, fleet: context.fleet, clock: context.clock, log, signal });
  const port = await listening(server, listen);
  const shown = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  const closed = new Promise<void>((resolve) => {
    const stop = (): void => void drain(server, running, gateway.closed).then(resolve);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  return { url: `http://${shown}:${port}`, closed };
}

async function listening(server: Server, { host, port }: Config['listen']): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port, backlog: BACKLOG }, resolve);
  try {
    await promise;
  } catch (cause) {
    throw new BerthError(
      'unavailable',
      `Cannot listen on ${host}:${port}: ${messageOf(cause)}. Is another coordinator running?`,
      {
        cause,
      },
    );
  } finally {
    server.off('error', reject);
  }
  const address = server.address();
  return address === null || typeof address === 'string' ? port : address.port;
}

interface Running {
  /** Resolves when no request is being answered. */
  idle(): Promise<void>;
}

/** Node closes a connection that has never sent a request only with all others, so we count requests ourselves. */
function countRequests(server: Server): Running {
  let count = 0;
  let quiet = Promise.withResolvers<void>();
  server.on('request', (_request, response) => {
    if (count === 0) quiet = Promise.withResolvers();
    count += 1;
    response.once('close', () => {
      count -= 1;
      if (count === 0) quiet.resolve();
    });
  });
  return { idle: () => (count === 0 ? Promise.resolve() : quiet.promise) };
}

/** Takes no new connection, lets running requests end for a while, then closes what is left. */
async function drain(server: Server, running: Running, agents: Promise<void>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, DRAIN_MS);
  await Promise.race([running.idle(), late.promise]);
  clearTimeout(timer);
  server.closeAllConnections();
  await Promise.all([agents, closed]);
}
