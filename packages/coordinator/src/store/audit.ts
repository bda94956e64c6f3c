import { sql, type Kysely, type SelectQueryBuilder } from 'kysely';
import { canonicalText, chainHash } from '@berth/shared/domain/audit';
import { redacted, redactedText } from '../services/audit-redaction.ts';
import type { Actor, AuditEntry, AuditFilter, AuditRow } from '../services/records.ts';
import type { StoreReads } from '../services/store.ts';
import type { Dialect } from './dialect.ts';
import type { AuditTable, Tables } from './tables.ts';

type Db = Kysely<Tables>;

export function auditReads(db: Db, dialect: Dialect): Pick<StoreReads, 'audit' | 'auditAfter' | 'auditHead'> {
  const chosen = (filter: AuditFilter) => filtered(db.selectFrom('audit').selectAll(), filter, dialect);
  return {
    async audit(before, limit, filter = {}) {
      let query = chosen(filter).orderBy('id', 'desc').limit(limit);
      if (before !== undefined) query = query.where('id', '<', before);
      return (await query.execute()).map(rowOf);
    },
    async auditAfter(after, limit, filter = {}) {
      const query = chosen(filter).where('id', '>', after).orderBy('id').limit(limit);
      return (await query.execute()).map(rowOf);
    },
    async auditHead() {
      const row = await db.selectFrom('meta').select(['last_audit', 'audit_head']).executeTakeFirstOrThrow();
      return { number: row.last_audit, hash: row.audit_head };
    },
  };
}

type Chosen = SelectQueryBuilder<Tables, 'audit', AuditTable>;

function filtered(query: Chosen, filter: AuditFilter, dialect: Dialect): Chosen {
  const { by, action, subject, since, from } = filter;
  let chosen = query;
  if (from !== undefined) chosen = chosen.where('id', '>=', from);
  if (since !== undefined) chosen = chosen.where('at', '>=', since);
  if (subject !== undefined) chosen = chosen.where('subject', '=', subject);
  // A whole noun too: `tenant` finds `tenant.created`.
  if (action !== undefined) chosen = chosen.where(within(action, 'action', '.'));
  if (by !== undefined) {
    const place = sql.raw(dialect.kind === 'sqlite' ? 'instr' : 'strpos');
    // By name, by id, or as it is kept. Names are whatever somebody typed, so nothing in them may be a pattern.
    chosen = chosen.where((where) =>
      where.or([
        where('actor', 'in', [by, `agent:${by}`, `rollout:${by}`]),
        within(`token:${by}`, 'actor', ' '),
        sql<boolean>`(substr(actor, 1, 6) = 'token:' and ${place}(actor, ' ') > 0
          and substr(actor, ${place}(actor, ' ') + 1) = ${by})`,
      ]),
    );
  }
  return chosen;
}

/** The text itself, or what begins with it and the separator. */
function within(text: string, column: 'actor' | 'action', separator: string) {
  const start = `${text}${separator}`;
  const name = sql.ref(column);
  return sql<boolean>`(${name} = ${text} or substr(${name}, 1, ${sql.lit([...start].length)}) = ${start})`;
}

function rowOf(row: AuditTable): AuditRow {
  return {
    id: row.id,
    at: row.at,
    actor: row.actor,
    action: row.action,
    subject: row.subject,
    requestId: row.request_id,
    before: valueOf(row.before),
    after: valueOf(row.after),
    hash: row.hash,
  };
}

/** What Berth did not write, not to the letter, is shown as the text it is: no chain holds it, and nobody's list breaks. */
function valueOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (canonicalText(value) === text) return value;
  } catch {
    // It is no JSON.
  }
  return { unreadable: text };
}

/**
 * One audit record, chained to the one before. The head's row stays locked until the commit, so that numbers and hashes
 * are in the order of commits and without a gap, also with several coordinators.
 */
export async function appendAudit(db: Db, by: Actor, at: number, entry: AuditEntry): Promise<void> {
  const { last_audit: id, audit_head: previous } = await db
    .updateTable('meta')
    .set({ last_audit: sql`last_audit + 1` })
    .returning(['last_audit', 'audit_head'])
    .executeTakeFirstOrThrow();
  const record = {
    id,
    at,
    actor: kept(by.actor),
    action: kept(entry.action),
    subject: kept(entry.subject),
    requestId: kept(by.requestId),
    before: redacted(entry.before),
    after: redacted(entry.after),
  };
  const hash = chainHash(previous, record);
  const { requestId, before, after, ...rest } = record;
  await db
    .insertInto('audit')
    .values({
      ...rest,
      request_id: requestId,
      before: canonicalText(before),
      after: canonicalText(after),
      hash,
    })
    .execute();
  await db.updateTable('meta').set({ audit_head: hash }).execute();
}

/** As both databases give it back: no half characters, and no NUL, which PostgreSQL does not take. */
function kept(text: string): string {
  return redactedText(text).toWellFormed().replaceAll('\0', '\ufffd');
}
