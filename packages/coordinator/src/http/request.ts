import { isEverything, type AccessScope } from '@berth/shared/domain/access';
import { BerthError } from '@berth/shared/domain/errors';
import type { Context, Hono } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import type { Caller } from '../services/access.ts';
import type { Peer } from './peer.ts';
import { safeJson } from './text.ts';

interface Variables {
  requestId: string;
  route: string;
  actor: string;
  peer: Peer;
}

/** What Node's server hands over beside a request; not there where there is no socket. */
interface Bindings {
  incoming?: IncomingMessage;
}

export interface Types {
  Bindings: Bindings;
  Variables: Variables;
}

export type Api = Hono<Types>;
export type ApiContext = Context<Types>;

const Fields = z.record(z.string(), z.unknown()).catch({});

/** JSON of which no terminal, log or page makes anything else. */
export function answer(c: ApiContext, value: unknown, status: ContentfulStatusCode): Response {
  return c.body(safeJson(value), status, { 'content-type': 'application/json' });
}

/** The request as Node has it. */
export function incomingOf(c: ApiContext): IncomingMessage | undefined {
  // Without a server there is no environment at all, whatever its type says.
  const bindings: Bindings | undefined = c.env;
  return bindings?.incoming;
}

/**
 * A browser says which page a request comes from. One that changes something, or opens a WebSocket, must come from a page
 * that is listed; agents and the command line have no page. Errors: `forbidden`.
 */
export function requireOrigin(c: ApiContext, allowed: readonly string[]): void {
  const origin = c.req.header('origin');
  if (origin === undefined || allowed.includes(origin)) return;
  if (c.req.header('upgrade') === undefined && ['GET', 'HEAD', 'OPTIONS'].includes(c.req.method)) return;
  throw new BerthError(
    'forbidden',
    'This page may not do that: its origin is not among http.origins of the configuration.',
  );
}

/** The header of that name, in seconds. */
export function retryAfter(thrown: unknown): string {
  const ms = thrown instanceof BerthError ? thrown.details['retryAfterMs'] : undefined;
  return String(typeof ms === 'number' ? Math.max(1, Math.ceil(ms / 1000)) : 5);
}

/** Undefined: everything. */
export function scopeOf(caller: Caller | null): AccessScope | undefined {
  return caller === null || isEverything(caller.scope) ? undefined : caller.scope;
}

/** The named parts of a path or a body, whatever they are. */
export function record(part: unknown): Record<string, unknown> {
  return Fields.parse(part);
}
