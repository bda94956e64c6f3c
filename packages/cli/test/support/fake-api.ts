import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { z } from 'zod';
import { API_PREFIX, routes, type RouteName, type Routes } from '@berth/shared/api/routes';
import type { RouteDefinition, RouteOutput } from '@berth/shared/api/route';
import type { Event } from '@berth/shared/api/schemas';
import { BerthError } from '@berth/shared/domain/errors';

/** What was asked of a route: its parameters, its query and its body, as they came. */
export interface Asked {
  params: Record<string, string>;
  query: Record<string, string>;
  body: unknown;
}
export type Answers = { [K in RouteName]?: (asked: Asked) => RouteOutput<Routes[K]> };

/**
 * A coordinator that answers only the routes a test gives it, checks what was asked against the table, and keeps it; and
 * a stream of events that can be cut. A BerthError that an answer throws is sent as the API sends errors.
 */
export async function fakeApi(answers: Answers) {
  const calls: { route: RouteName; asked: Asked }[] = [];
  const log: Event[] = [];
  const streams = new Set<ServerResponse>();
  const askedAfter: number[] = [];
  const frame = (event: Event): string => `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`;

  const stream = (url: URL, response: ServerResponse): void => {
    const after = Number(url.searchParams.get('after') ?? 0);
    askedAfter.push(after);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(': hello\n\n');
    for (const event of log) if (event.id > after) response.write(frame(event));
    streams.add(response);
    response.on('close', () => streams.delete(response));
  };
  const answer = async (url: URL, request: IncomingMessage): Promise<unknown> => {
    const body = await bodyOf(request);
    const query = Object.fromEntries(url.searchParams);
    if (url.pathname === `${API_PREFIX}/events` && answers.listEvents === undefined) {
      const after = Number(query['after'] ?? 0);
      const items = log.filter((event) => event.id > after);
      return { items, last: log.at(-1)?.id ?? 0 };
    }
    for (const [name, given] of Object.entries(answers)) {
      const route = RouteOf.parse(name);
      const definition: RouteDefinition = routes[route];
      const params = paramsOf(definition.path, url.pathname.slice(API_PREFIX.length));
      if (definition.method !== request.method || params === null) continue;
      definition.params?.parse(params);
      definition.query?.parse(query);
      definition.body?.parse(body);
      const asked = { params, query, body };
      calls.push({ route, asked });
      return given(asked);
    }
    throw new BerthError('not_found', `Nothing is at ${String(request.method)} ${url.pathname}.`);
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://fake');
    if (url.pathname === `${API_PREFIX}/events/stream`) {
      stream(url, response);
      return;
    }
    response.setHeader('content-type', 'application/json');
    answer(url, request).then(
      (given) => response.end(JSON.stringify(given)),
      (thrown: unknown) => {
        response.statusCode = 500;
        const code = thrown instanceof BerthError ? thrown.code : 'internal';
        const message = thrown instanceof Error ? thrown.message : String(thrown);
        const details = thrown instanceof BerthError ? thrown.details : {};
        response.end(JSON.stringify({ error: { code, message, details, requestId: 'r' } }));
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = z.object({ port: z.number() }).parse(server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    askedAfter,
    /** What was asked of one route. */
    askedOf: (route: RouteName): Asked[] =>
      calls.filter((call) => call.route === route).map((call) => call.asked),
    emit: (event: Event) => {
      log.push(event);
      for (const each of streams) each.write(frame(event));
    },
    /** Kept, but brought by no stream that is open. */
    emitUnseen: (event: Event) => {
      log.push(event);
    },
    cut: () => {
      for (const each of streams) each.destroy();
    },
    close: () => {
      for (const each of streams) each.destroy();
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const RouteOf = z.custom<RouteName>((name) => typeof name === 'string' && name in routes);

function paramsOf(path: string, asked: string): Record<string, string> | null {
  const wanted = path.split('/');
  const given = asked.split('/');
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    if (name === undefined && part !== given[index]) return null;
    if (name !== undefined) params[name] = decodeURIComponent(given[index] ?? '');
  }
  return params;
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text === '' ? undefined : JSON.parse(text);
}
