import { API_PREFIX, routes, type RouteName } from '@berth/shared/api/routes';
import type { RouteDefinition } from '@berth/shared/api/route';
import type { Role } from '@berth/shared/domain/access';
import { BerthError } from '@berth/shared/domain/errors';
import { Hono } from 'hono';
import type { Socket } from 'node:net';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Caller } from '../services/access.ts';
import { requireRole, requireScope, subjectIsInBody } from '../services/access-guard.ts';
import type { EventFeed } from '../services/events.ts';
import type { Services } from '../services/index.ts';
import type { Actor } from '../services/records.ts';
import type { Store } from '../services/store.ts';
import { appHandlers } from './apps.ts';
import { jsonBody, MAX_BODY, MAX_UNKNOWN_BODY, TooLarge } from './body.ts';
import { checked, type Call, type Handler, type Handlers } from './call.ts';
import { apiError, statusOf } from './errors.ts';
import { hostHandlers } from './hosts.ts';
import { journalHandlers } from './journal.ts';
import { createLimits } from './limits.ts';
import { createMetrics } from './metrics.ts';
import { openApiDocument } from './openapi.ts';
import { peerOf } from './peer.ts';
import { poolHandlers } from './pools.ts';
import {
  answer,
  incomingOf,
  record,
  requireOrigin,
  retryAfter,
  scopeOf,
  type Api,
  type ApiContext,
  type Types,
} from './request.ts';
import { rolloutHandlers } from './rollouts.ts';
import { databaseHandlers } from './databases.ts';
import { secretHandlers } from './secrets.ts';
import { addressesIn, type HttpSettings } from './settings.ts';
import { statusHandlers } from './status.ts';
import { createStreams } from './stream.ts';
import { printable } from './text.ts';
import { tenantHandlers } from './tenants.ts';
import { tokenHandlers } from './tokens.ts';

export type { Api } from './request.ts';

export interface ApiOptions {
  services: Services;
  store: Store;
  feed: EventFeed;
  version: string;
  clock: { now(): number };
  /** A new id for a request that brings none. */
  requestId: () => string;
  log: RequestLog;
  agents: () => number;
  /** Ends the event streams and turns /readyz to not ready. */
  signal: AbortSignal;
  streamHeartbeatMs?: number;
  settings: HttpSettings;
  /** Told of each connection on which a good token was shown. */
  proven?: (socket: Socket) => void;
}

export interface RequestLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const MAX_STREAMS = 1_000;

/** The HTTP side. Everything under the API's prefix asks for a token unless its route says `public`. */
export function createApi(options: ApiOptions): Api {
  const { services, store, feed, clock, log, signal, settings } = options;
  const app: Api = new Hono<Types>();
  const limits = createLimits(settings.limits);
  const trusted = addressesIn(settings.trustedProxies);
  const streams = createStreams({
    feed,
    signal,
    heartbeatMs: options.streamHeartbeatMs ?? 15_000,
    most: MAX_STREAMS,
  });
  const metrics = createMetrics({
    store,
    agents: options.agents,
    streams: streams.count,
    epoch: async () => {
      const { epoch, mode } = await store.epoch();
      return { epoch, observing: mode === 'observe' };
    },
  });
  const handlers: Handlers = {
    ...statusHandlers(services),
    ...appHandlers(services),
    ...tenantHandlers(services),
    ...rolloutHandlers(services),
    ...hostHandlers(services),
    ...poolHandlers(services),
    ...journalHandlers(store),
    ...tokenHandlers(services),
    ...secretHandlers(services),
    ...databaseHandlers(services),
  };

  app.use(async (c, next) => {
    const begun = performance.now();
    const given = c.req.header('x-request-id');
    const requestId = given !== undefined && /^[\w-]{1,64}$/.test(given) ? given : options.requestId();
    c.set('requestId', requestId);
    c.set('route', 'none');
    c.set('actor', 'anonymous');
    c.set(
      'peer',
      peerOf(
        incomingOf(c)?.socket.remoteAddress,
        { for: c.req.header('x-forwarded-for'), proto: c.req.header('x-forwarded-proto') },
        trusted,
      ),
    );
    await next();
    c.header('x-request-id', requestId);
    c.header('x-content-type-options', 'nosniff');
    c.header('x-frame-options', 'DENY');
    c.header('referrer-policy', 'no-referrer');
    c.header('cache-control', 'no-store');
    c.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'");
    if (c.get('peer').over === 'tls') c.header('strict-transport-security', 'max-age=31536000');
    const ms = performance.now() - begun;
    metrics.observe(c.req.method, c.get('route'), c.res.status, ms / 1000);
    // Neither headers nor bodies: they hold tokens and values.
    const fields = {
      requestId,
      method: c.req.method,
      route: c.get('route'),
      path: printable(c.req.path),
      address: c.get('peer').address,
      status: c.res.status,
      ms: Math.round(ms * 10) / 10,
      actor: c.get('actor'),
    };
    if (c.res.status >= 500) log.warn(fields, 'request');
    else log.info(fields, 'request');
  });
  app.use(async (c, next) => {
    await limits.request(c.get('peer').address);
    requireOrigin(c, settings.origins);
    await next();
  });
  app.onError((thrown, c) => {
    const status =
      thrown instanceof TooLarge ? 413 : thrown instanceof BerthError ? statusOf(thrown.code) : 500;
    if (status === 500) log.error({ requestId: c.get('requestId'), err: thrown }, 'request failed');
    if (status === 401) c.header('www-authenticate', 'Bearer');
    if (status === 429) c.header('retry-after', retryAfter(thrown));
    return answer(c, apiError(thrown, c.get('requestId')), status);
  });
  app.notFound((c) =>
    answer(
      c,
      apiError(
        new BerthError(
          'not_found',
          `There is nothing at ${c.req.method} ${printable(c.req.path)}; /openapi.json lists what there is.`,
        ),
        c.get('requestId'),
      ),
      404,
    ),
  );

  /** The one place where it is decided who gets in. Errors: `unauthenticated`, `forbidden`. */
  async function callerOf(c: ApiContext, needed: Role): Promise<Caller> {
    const caller = await countingRefusals(c, () =>
      services.access.authenticate(c.req.header('authorization')),
    );
    c.set('actor', caller.actor);
    const socket = incomingOf(c)?.socket;
    if (socket !== undefined) options.proven?.(socket);
    await limits.token(caller.id);
    requireRole(caller, needed);
    return caller;
  }

  /** What is refused for want of a good token counts against the address; beyond the limit the answer is another. */
  async function countingRefusals<T>(c: ApiContext, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      if (thrown instanceof BerthError && thrown.code === 'unauthenticated')
        await limits.refused(c.get('peer').address);
      throw thrown;
    }
  }

  function register<K extends RouteName>(name: K, handler: Handler<K>): void {
    const route: RouteDefinition = routes[name];
    const path = `${API_PREFIX}${route.path.replace(/\{(\w+)\}/g, ':$1')}`;
    app.on(route.method, path, async (c) => {
      c.set('route', `${API_PREFIX}${route.path}`);
      const caller = route.access === 'public' ? null : await callerOf(c, route.access);
      if (caller === null) await limits.mayTry(c.get('peer').address);
      const params = route.params === undefined ? undefined : checked('path', route.params, c.req.param());
      const guarded = async (named: unknown): Promise<void> => {
        if (caller !== null) await requireScope(store, caller, route, record(named));
      };
      // What the path names is looked at before anything else is read: a foreign thing has no rules for its body.
      const inBody = subjectIsInBody(route);
      if (!inBody) await guarded(params);
      const query = route.query === undefined ? undefined : checked('query', route.query, c.req.query());
      const most = caller === null ? MAX_UNKNOWN_BODY : MAX_BODY;
      const body =
        route.body === undefined ? undefined : checked('body', route.body, await jsonBody(c.req, most));
      if (inBody) await guarded(body);
      const by: Actor = { actor: caller?.actor ?? 'anonymous', requestId: c.get('requestId') };
      const given = { params, query, body, by, scope: scopeOf(caller) };
      // Each part has just been parsed by the schema that its type is made from.
      const reply = await countingRefusals(c, () => handler(given as unknown as Call<K>));
      return answer(c, reply, route.status as ContentfulStatusCode);
    });
  }
  for (const name of Object.keys(routes)) if (isRoute(name)) registerNamed(name);
  function registerNamed<K extends RouteName>(name: K): void {
    register(name, handlers[name]);
  }

  app.get(`${API_PREFIX}/events/stream`, async (c) => {
    c.set('route', `${API_PREFIX}/events/stream`);
    const caller = await callerOf(c, 'viewer');
    return await streams.open(c.req.query(), c.req.header('last-event-id'), {
      token: caller.id,
      scope: scopeOf(caller),
      stillGood: () => services.access.stillGood(caller.id),
    });
  });

  // Made when somebody asks: most coordinators are never asked, and it is large.
  let document: string | null = null;
  app.get('/openapi.json', (c) => {
    c.set('route', '/openapi.json');
    document ??= JSON.stringify(openApiDocument(options.version));
    return c.body(document, 200, { 'content-type': 'application/json' });
  });
  app.get('/healthz', (c) => {
    c.set('route', '/healthz');
    return c.json({ status: 'ok' });
  });
  let probing: Promise<void> | null = null;
  app.get('/readyz', async (c) => {
    c.set('route', '/readyz');
    if (signal.aborted) return c.json({ status: 'stopping' }, 503);
    try {
      // A write for everybody who asks at this moment, not one each.
      probing ??= store.probe(clock.now()).finally(() => {
        probing = null;
      });
      await probing;
      const { epoch, mode } = await store.epoch();
      return c.json({ status: 'ready', store: store.kind, epoch, mode });
    } catch (thrown) {
      log.error({ err: thrown }, 'the store cannot be written');
      return c.json({ status: 'store unwritable', store: store.kind }, 503);
    }
  });
  app.get('/metrics', async (c) => {
    c.set('route', '/metrics');
    if (settings.metrics === 'token') {
      const caller = await callerOf(c, 'viewer');
      await requireScope(store, caller, { on: 'coordinator' }, {});
    }
    return c.text(await metrics.text(), 200, { 'content-type': metrics.contentType });
  });
  return app;
}

function isRoute(name: string): name is RouteName {
  return name in routes;
}
