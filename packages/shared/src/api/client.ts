import { z } from 'zod';
import { BerthError, messageOf } from '../domain/errors.ts';
import { ApiError, Event } from './schemas.ts';
import { API_PREFIX, routes, type RouteName, type Routes } from './routes.ts';
import type { RouteDefinition, RouteInput, RouteOutput } from './route.ts';

export interface ClientOptions {
  /** Base address of the coordinator, such as http://127.0.0.1:7700. */
  url: string;
  token?: string;
  fetch?: typeof globalThis.fetch;
}

export type ApiClient = {
  [K in RouteName]: keyof RouteInput<Routes[K]> extends never
    ? (input?: Record<never, never>, signal?: AbortSignal) => Promise<RouteOutput<Routes[K]>>
    : (input: RouteInput<Routes[K]>, signal?: AbortSignal) => Promise<RouteOutput<Routes[K]>>;
} & {
  /** Follows /events/stream; ends when the signal does or the server goes away. */
  followEvents(
    query: { after?: number; tenant?: string; host?: string },
    signal: AbortSignal,
  ): AsyncGenerator<Event>;
};

const Scalar = z.union([z.string(), z.number(), z.boolean()]);
const Parts = z.object({
  params: z.record(z.string(), Scalar).optional(),
  query: z.record(z.string(), Scalar.optional()).optional(),
  body: z.unknown().optional(),
});

/**
 * A client made from the same table the server is made from. Errors: BerthError with the server's code; `unavailable`
 * when no answer came, `internal` when the answer was not what the table says.
 */
export function createClient(options: ClientOptions): ApiClient {
  const send = options.fetch ?? globalThis.fetch;
  const headers = (extra: Record<string, string>): Record<string, string> =>
    options.token === undefined ? extra : { ...extra, authorization: `Bearer ${options.token}` };

  async function request(url: string, init: RequestInit): Promise<Response> {
    try {
      return await send(url, init);
    } catch (cause) {
      if (init.signal?.aborted === true) throw cause;
      throw new BerthError(
        'unavailable',
        `No coordinator answers at ${options.url}. Is it running, and is the address right?`,
        { cause },
      );
    }
  }

  async function call(
    route: RouteDefinition,
    given: unknown,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const input = Parts.parse(given ?? {});
    const path = route.path.replace(/\{(\w+)\}/g, (_all, name: string) =>
      encodeURIComponent(String(input.params?.[name])),
    );
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(input.query ?? {}))
      if (value !== undefined) query.set(name, String(value));
    const suffix = query.size === 0 ? '' : `?${query.toString()}`;
    const init: RequestInit = { method: route.method, headers: headers({ accept: 'application/json' }) };
    if (signal !== undefined) init.signal = signal;
    if (route.body !== undefined) {
      init.headers = headers({ accept: 'application/json', 'content-type': 'application/json' });
      init.body = JSON.stringify(input.body ?? {});
    }
    const response = await request(`${options.url}${API_PREFIX}${path}${suffix}`, init);
    if (!response.ok) throw await errorOf(response);
    const answer = route.response.safeParse(await response.json());
    if (!answer.success) {
      throw new BerthError(
        'internal',
        `The coordinator's answer to ${route.method} ${route.path} was not understood; are both of the same version?`,
        { cause: answer.error },
      );
    }
    return answer.data;
  }

  async function* followEvents(
    query: { after?: number; tenant?: string; host?: string },
    signal: AbortSignal,
  ): AsyncGenerator<Event> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) search.set(name, String(value));
    const response = await request(`${options.url}${API_PREFIX}/events/stream?${search.toString()}`, {
      headers: headers({ accept: 'text/event-stream' }),
      signal,
    });
    if (!response.ok) throw await errorOf(response);
    if (response.body === null) return;
    let buffered = '';
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      buffered += chunk;
      for (;;) {
        const end = buffered.indexOf('\n\n');
        if (end < 0) break;
        const block = buffered.slice(0, end);
        buffered = buffered.slice(end + 2);
        const data = block
          .split('\n')
          .filter((line) => line.startsWith('data:'))
          .map((line) => line.slice(5).trimStart())
          .join('\n');
        if (data !== '') yield Event.parse(JSON.parse(data));
      }
    }
  }

  const calls = Object.fromEntries(
    Object.entries(routes).map(([name, route]) => [
      name,
      (input?: unknown, signal?: AbortSignal) => call(route, input, signal),
    ]),
  );
  // The table's own types say what each call takes and gives; `call` has checked the answer against them.
  return { ...calls, followEvents } as unknown as ApiClient;
}

async function errorOf(response: Response): Promise<BerthError> {
  const text = await response.text();
  try {
    const parsed = ApiError.parse(JSON.parse(text));
    return new BerthError(parsed.error.code, parsed.error.message, {
      details: { ...parsed.error.details, requestId: parsed.error.requestId },
    });
  } catch (cause) {
    return new BerthError(
      'unavailable',
      `The coordinator answered ${response.status} without a readable error: ${messageOf(text).slice(0, 200)}`,
      { cause },
    );
  }
}
