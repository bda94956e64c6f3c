import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Event, Tenant } from '@berth/shared/api/schemas';

/** A coordinator that says only what a test tells it to: one tenant and a stream of events that can be cut. */
export async function fakeCoordinator(tenant: Tenant) {
  const log: Event[] = [];
  const streams = new Set<ServerResponse>();
  const askedAfter: number[] = [];
  const shown = { tenant: tenant as Tenant | null };
  const frame = (event: Event): string => `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`;
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://fake');
    if (url.pathname === '/api/v1/events/stream') {
      const after = Number(url.searchParams.get('after') ?? 0);
      askedAfter.push(after);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(': hello\n\n');
      for (const event of log) if (event.id > after) response.write(frame(event));
      streams.add(response);
      response.on('close', () => streams.delete(response));
      return;
    }
    response.setHeader('content-type', 'application/json');
    if (url.pathname.startsWith('/api/v1/tenants/') && shown.tenant !== null) {
      response.end(JSON.stringify(shown.tenant));
      return;
    }
    response.statusCode = 404;
    const error = { code: 'not_found', message: 'There is no such thing.', details: {}, requestId: 'r' };
    response.end(JSON.stringify({ error }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    shown,
    askedAfter,
    emit: (event: Event) => {
      log.push(event);
      for (const stream of streams) stream.write(frame(event));
    },
    /** Ends every open stream, as a restart or a proxy does. */
    cut: () => {
      for (const stream of streams) stream.destroy();
    },
    close: () => {
      for (const stream of streams) stream.destroy();
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export function tenantView(change: Partial<Tenant> = {}): Tenant {
  return {
    tenant: 'acme',
    app: 'shop',
    release: 1,
    generation: 2,
    state: 'running',
    host: 'h_0123456789abcdef',
    hostName: 'box',
    pool: 'default',
    domains: ['acme.shop.localhost'],
    urls: ['http://acme.shop.localhost:8080/'],
    tags: [],
    pinned: null,
    window: null,
    phase: 'moving',
    live: 1,
    freshness: 'current',
    problem: null,
    reportedAt: 1000,
    createdAt: 1,
    updatedAt: 900,
    ...change,
  };
}

let next = 10;
export function tenantEvent(
  kind: string,
  message: string,
  details: Record<string, unknown> = {},
  generation = 2,
): Event {
  next += 1;
  return {
    id: next,
    at: 1000,
    kind,
    tenant: 'acme',
    app: 'shop',
    host: 'h_0123456789abcdef',
    generation,
    message,
    details,
  };
}
