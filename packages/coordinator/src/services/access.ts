import type { CreateToken, CreatedToken, Role, TokenInfo } from '@berth/shared/api/schemas';
import { tokenActor } from '@berth/shared/domain/actor';
import { BerthError } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import type { Actor, TokenRecord } from './records.ts';
import { looksLikeToken, makeToken, randomText, tokenHash } from './tokens.ts';

export type RoleName = z.infer<typeof Role>;

export interface Caller {
  /** As it is kept on record: `token:<id> <name>`. */
  actor: string;
  role: RoleName;
}

export interface Access {
  list(): Promise<z.infer<typeof TokenInfo>[]>;
  create(by: Actor, given: z.output<typeof CreateToken>): Promise<z.infer<typeof CreatedToken>>;
  revoke(by: Actor, id: string): Promise<void>;
  /** Who calls, by the `Authorization` header. Errors: `unauthenticated`. */
  authenticate(authorization: string | undefined): Promise<Caller>;
  /**
   * Makes the first admin token when there is no token at all. `keep` is called before the commit: a crash between the
   * two leaves a token that is not valid yet and is replaced, never a valid one that nobody has seen.
   */
  bootstrap(keep: (token: string) => void): Promise<'made' | 'present'>;
}

/** A token's last use is only kept to within this time, so that reading does not mean writing. */
const LAST_USE_MS = 5 * 60_000;
const ID_ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

export function createAccess({ store, clock, random }: ServiceContext): Access {
  function fresh(given: z.output<typeof CreateToken>, at: number): { token: string; record: TokenRecord } {
    const record: TokenRecord = {
      id: `t_${randomText(12, ID_ALPHABET, random)}`,
      name: given.name,
      role: given.role,
      createdAt: at,
      expiresAt: given.ttlMs === undefined ? null : at + given.ttlMs,
      lastUsedAt: null,
    };
    return { token: makeToken('api', random), record };
  }

  return {
    list: () => store.tokens(),
    async create(by, given) {
      const at = clock.now();
      const { token, record } = fresh(given, at);
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
        return { result: null, audit: { action: 'token.revoked', subject: id, before, after: null } };
      });
    },
    async authenticate(authorization) {
      const token = /^Bearer ([\w-]{1,200})$/i.exec(authorization ?? '')?.[1];
      if (token === undefined) {
        throw new BerthError(
          'unauthenticated',
          'This needs an API token: send it as "Authorization: Bearer berth_api_…".',
        );
      }
      const record = looksLikeToken('api', token) ? await store.tokenByHash(tokenHash(token)) : null;
      if (record === null) {
        throw new BerthError(
          'unauthenticated',
          'This API token is not known; it may be mistyped or revoked. Log in again with "berth login".',
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
      return { actor: tokenActor(record.id, record.name), role: record.role };
    },
    async bootstrap(keep) {
      const at = clock.now();
      const { token, record } = fresh({ name: 'first admin', role: 'admin' }, at);
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

const RANK: Readonly<Record<RoleName, number>> = { viewer: 1, deployer: 2, operator: 3, admin: 4 };

/** Whether a role reaches what a route asks for. */
export function mayDo(role: RoleName, needed: RoleName): boolean {
  return RANK[role] >= RANK[needed];
}
