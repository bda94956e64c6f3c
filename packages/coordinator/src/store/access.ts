import type { Kysely } from 'kysely';
import { Trust } from '@berth/shared/api/oidc';
import { AccessScope, EVERYTHING } from '@berth/shared/domain/access';
import type { TokenRecord } from '../services/records.ts';
import type { StoreReads, StoreWrites } from '../services/store.ts';
import type { Dialect } from './dialect.ts';
import type { Tables, TokenTable } from './tables.ts';

type Db = Kysely<Tables>;

const tokenOf = (row: TokenTable): TokenRecord => ({
  id: row.id,
  name: row.name,
  role: row.role,
  scope: row.scope === null ? EVERYTHING : AccessScope.parse(JSON.parse(row.scope)),
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  lastUsedAt: row.last_used_at,
});

export function accessReads(
  db: Db,
  dialect: Dialect,
): Pick<StoreReads, 'tokens' | 'tokenByHash' | 'trusts' | 'joinToken'> {
  return {
    async tokens() {
      return (await db.selectFrom('tokens').selectAll().orderBy('created_at').orderBy('id').execute()).map(
        tokenOf,
      );
    },
    async tokenByHash(hash) {
      const row = await db.selectFrom('tokens').selectAll().where('hash', '=', hash).executeTakeFirst();
      return row === undefined ? null : tokenOf(row);
    },
    async trusts() {
      const rows = await db
        .selectFrom('oidc_trust')
        .select('json')
        .orderBy('created_at')
        .orderBy('id')
        .execute();
      return rows.map((row) => Trust.parse(JSON.parse(row.json)));
    },
    async joinToken(hash) {
      const row = await db
        .selectFrom('join_tokens')
        .selectAll()
        .where('hash', '=', hash)
        .$if(db.isTransaction, (query) => query.modifyEnd(dialect.forUpdate))
        .executeTakeFirst();
      return row === undefined ? null : { pool: row.pool, expiresAt: row.expires_at, usedBy: row.used_by };
    },
  };
}

type AccessWrites =
  | 'insertToken'
  | 'deleteToken'
  | 'insertTrust'
  | 'deleteTrust'
  | 'useIdentity'
  | 'insertJoinToken'
  | 'useJoinToken';

export function accessWrites(db: Db): Pick<StoreWrites, AccessWrites> {
  return {
    async insertToken(token, hash) {
      await db
        .insertInto('tokens')
        .values({
          id: token.id,
          name: token.name,
          role: token.role,
          hash,
          scope: JSON.stringify(token.scope),
          created_at: token.createdAt,
          expires_at: token.expiresAt,
          last_used_at: token.lastUsedAt,
        })
        .execute();
    },
    async deleteToken(id) {
      const row = await db.deleteFrom('tokens').where('id', '=', id).returningAll().executeTakeFirst();
      return row === undefined ? null : tokenOf(row);
    },
    async insertTrust(rule) {
      const { id, issuer, createdAt, createdBy } = rule;
      await db
        .insertInto('oidc_trust')
        .values({ id, issuer, json: JSON.stringify(rule), created_at: createdAt, created_by: createdBy })
        .execute();
    },
    async deleteTrust(id) {
      await db.deleteFrom('oidc_trust').where('id', '=', id).execute();
    },
    async useIdentity(hash, expiresAt, at) {
      await db.deleteFrom('oidc_used').where('expires_at', '<', at).execute();
      await db
        .deleteFrom('tokens')
        .where('id', '>=', 'ci_')
        .where('id', '<', 'ci`')
        .where('expires_at', '<', at - 86_400_000)
        .execute();
      const added = await db
        .insertInto('oidc_used')
        .values({ hash, expires_at: expiresAt })
        .onConflict((oc) => oc.column('hash').doNothing())
        .executeTakeFirst();
      return added.numInsertedOrUpdatedRows === 1n ? 'fresh' : 'used';
    },
    async insertJoinToken(hash, pool, at, expiresAt) {
      // Tokens that ran out a day ago are of no use to anyone, not even for a clear sentence.
      await db
        .deleteFrom('join_tokens')
        .where('expires_at', '<', at - 86_400_000)
        .execute();
      await db
        .insertInto('join_tokens')
        .values({ hash, pool, created_at: at, expires_at: expiresAt, used_by: null })
        .execute();
    },
    async useJoinToken(hash, host) {
      await db.updateTable('join_tokens').set({ used_by: host }).where('hash', '=', hash).execute();
    },
  };
}
