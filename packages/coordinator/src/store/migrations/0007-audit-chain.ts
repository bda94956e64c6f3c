import { sql, type Kysely } from 'kysely';
import { CHAIN_START, canonicalText, chainHash } from '@berth/shared/domain/audit';
import type { Migration } from '../migrate.ts';
import type { AuditTable, Tables } from '../tables.ts';

const ROWS = 500;

/**
 * Each record of the audit has the hash of itself and of all before it, also those from before this. The table is written
 * anew, many rows at a time: an update for each row of a long audit would keep a start waiting.
 */
export const auditChain: Migration = {
  number: 7,
  name: 'audit-chain',
  async up(db) {
    await sql`alter table audit rename to audit_before`.execute(db);
    await db.schema
      .createTable('audit')
      .addColumn('id', 'bigint', (c) => c.notNull())
      .addColumn('at', 'bigint', (c) => c.notNull())
      .addColumn('actor', 'text', (c) => c.notNull())
      .addColumn('action', 'text', (c) => c.notNull())
      .addColumn('subject', 'text', (c) => c.notNull())
      .addColumn('request_id', 'text', (c) => c.notNull())
      .addColumn('before', 'text', (c) => c.notNull())
      .addColumn('after', 'text', (c) => c.notNull())
      .addColumn('hash', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('audit_numbers', ['id'])
      .execute();
    const head = await rewrite(db);
    await sql`drop table audit_before`.execute(db);
    await db.schema.createIndex('audit_subject').on('audit').columns(['subject', 'id']).execute();
    await sql`alter table meta add column audit_head text not null default ''`.execute(db);
    await db.updateTable('meta').set({ audit_head: head }).execute();
  },
};

/** Answers the hash of the last row. */
async function rewrite(db: Kysely<Tables>): Promise<string> {
  let after = 0;
  let { hash } = CHAIN_START;
  for (;;) {
    const { rows } = await sql<Omit<AuditTable, 'hash'>>`select id, at, actor, action, subject, request_id,
      "before", "after" from audit_before where id > ${after} order by id limit ${ROWS}`.execute(db);
    if (rows.length === 0) return hash;
    const chained = rows.map((row): AuditTable => {
      const before = read(row.before);
      const value = read(row.after);
      hash = chainHash(hash, { ...row, requestId: row.request_id, before, after: value });
      return { ...row, before: canonicalText(before), after: canonicalText(value), hash };
    });
    await db.insertInto('audit').values(chained).execute();
    after = chained.at(-1)?.id ?? after;
  }
}

/** A row that somebody broke by hand keeps nobody from starting. */
function read(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { unreadable: text };
  }
}
