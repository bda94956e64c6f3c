import type { CreateToken, CreatedToken, TokenInfo } from '@berth/shared/api/schemas';
import {
  EVERYTHING,
  isEverything,
  scopeFault,
  type AccessScope,
  type Role,
} from '@berth/shared/domain/access';
import { tokenActor } from '@berth/shared/domain/actor';
import { BerthError } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import type { Actor, TokenRecord } from './records.ts';
import { makeToken, randomText, tokenFault, tokenHash } from './tokens.ts';

export interface Caller {
  /** The token's id. */
  id: string;
  /** As it is kept on record: `token:<id> <name>`. */
  actor: string;
  role: Role;
  scope: AccessScope;
  /** When the token runs out; null: when it is revoked. */
  expiresAt: number | null;
}

export interface Access {
  list(): Promise<z.infer<typeof TokenInfo>[]>;
  /** Errors: `invalid_request` for a role that cannot have this scope. */
  create(by: Actor, given: TokenWish): Promise<z.infer<typeof CreatedToken>>;
  revoke(by: Actor, id: string): Promise<void>;
  /** Who calls, by the `Authorization` header. Errors: `unauthenticated`. */
  authenticate(authorization: string | undefined): Promise<Caller>;
  /** Whether a token that was let in before is still good: neither revoked nor run out. */
  stillGood(id: string): Promise<boolean>;
  /**
   * Makes the first admin token when there is no token at all. `keep` is called before the commit: a crash between the
   * two leaves a token that is not valid yet and is replaced, never a valid one that nobody has seen.
   */
  bootstrap(keep: (token: string) => void): Promise<'made' | 'present'>;
}

export type TokenWish = Omit<z.output<typeof CreateToken>, 'scope'> & { scope?: AccessScope };

/** A token's last use is only kept to within this time, so that reading does not mean writing. */
const LAST_USE_MS = 5 * 60_000;
const ID_ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

/** A new token and what is kept of it. Nothing is written. */
export function freshToken(
  given: TokenWish,
  at: number,
  random: ServiceContext['random'],
): { token: string; record: TokenRecord } {
  const record: TokenRecord = {
    id: `t_${randomText(12, ID_ALPHABET, random)}`,
    name: given.name,
    role: given.role,
    scope: given.scope ?? EVERYTHING,
    createdAt: at,
    expiresAt: given.ttlMs === undefined ? null : at + given.ttlMs,
    lastUsedAt: null,
  };
  return { token: makeToken('api', random), record };
}

export function createAccess({ store, clock, random }: ServiceContext): Access {
  return {
    list: () => store.tokens(),
    async create(by, given) {
      const fault = scopeFault(given.role, given.scope ?? EVERYTHING);
      if (fault !== null) throw new BerthError('invalid_request', fault, { details: { field: 'scope' } });
      const at = clock.now();
      const { token, record } = freshToken(given, at, random);
      await store.mutate(by, at, async (tx) => {
        await tx.insertToken(record, tokenHash(token));
        return {
          result: null,
          audit: { action: 'token.created', subject: record.id, before: null, after: record },
        };
      });
      return { ...record, token };
    },
    async revoke(by, id) {
      await store.mutate(by, clock.now(), async (tx) => {
        const before = await tx.deleteToken(id);
        if (before === null)
          throw new BerthError('not_found', `There is no token ${id}; see "berth token list".`);
        const now = clock.now();
        const rules = (each: TokenRecord): boolean =>
          each.role === 'admin' &&
          isEverything(each.scope) &&
          (each.expiresAt === null || each.expiresAt > now);
        // With none left nobody could make one: the first is only made where there is no token at all.
        if (rules(before) && !(await tx.tokens()).some(rules))
          throw new BerthError(
            'conflict',
            `${id} is the last admin token. Make another first: "berth token create --role admin --name NAME".`,
          );
        return { result: null, audit: { action: 'token.revoked', subject: id, before, after: null } };
      });
    },
    async authenticate(authorization) {
      const token = /^Bearer +(\S{1,200})$/i.exec(authorization ?? '')?.[1];
      if (token === undefined) {
        throw new BerthError(
          'unauthenticated',
          'This needs an API token: send it as "Authorization: Bearer berth_api_…".',
        );
      }
      const fault = tokenFault('api', token);
      if (fault !== null) throw new BerthError('unauthenticated', fault);
      // Found by the hash of all of it: how long that takes says nothing about how much of a guess was right.
      const record = await store.tokenByHash(tokenHash(token));
      if (record === null) {
        throw new BerthError(
          'unauthenticated',
          'This API token is not known; it was revoked, or belongs to another coordinator. Log in again with "berth login".',
        );
      }
      const now = clock.now();
      if (record.expiresAt !== null && record.expiresAt <= now) {
        throw new BerthError(
          'unauthenticated',
          `The API token "${record.name}" has run out. Ask an admin for a new one.`,
        );
      }
      if (record.lastUsedAt === null || now - record.lastUsedAt > LAST_USE_MS)
        await store.touchToken(record.id, now);
      const { id, name, role, scope, expiresAt } = record;
      return { id, actor: tokenActor(id, name), role, scope, expiresAt };
    },
    async stillGood(id) {
      const record = (await store.tokens()).find((each) => each.id === id);
      return record !== undefined && (record.expiresAt === null || record.expiresAt > clock.now());
    },
    async bootstrap(keep) {
      const at = clock.now();
      const { token, record } = freshToken({ name: 'first admin', role: 'admin' }, at, random);
      return await store.mutate<'made' | 'present'>(
        { actor: 'coordinator', requestId: '' },
        at,
        async (tx) => {
          if ((await tx.tokens()).length > 0) return { result: 'present', audit: null };
          await tx.insertToken(record, tokenHash(token));
          keep(token);
          return {
            result: 'made',
            audit: { action: 'token.created', subject: record.id, before: null, after: record },
          };
        },
      );
    },
  };
}
