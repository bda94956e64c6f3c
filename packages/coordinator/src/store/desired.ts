import type { Kysely } from 'kysely';
import { EMPTY_DIGEST, entryDigest, toggleDigest } from '@berth/shared/domain/desired';
import { BerthError, unreachable } from '@berth/shared/domain/errors';
import type { DesiredCursor, DesiredEntry, DesiredSnapshot } from '../services/fleet-store.ts';
import type { DesiredPut } from '../services/store.ts';
import { listStatement } from './batch.ts';
import type { Dialect } from './dialect.ts';
import type { Tables } from './tables.ts';

type Db = Kysely<Tables>;

/** Writes one entry of a host's desired state with the host's next revision and digest, holding the host's row. */
export async function putDesired(db: Db, dialect: Dialect, host: string, put: DesiredPut): Promise<number> {
  const row = await db
    .selectFrom('hosts')
    .select(['revision', 'digest'])
    .where('host', '=', host)
    .modifyEnd(dialect.forUpdate)
    .executeTakeFirst();
  if (row === undefined) throw new BerthError('not_found', `There is no host ${host}.`);
  const { tenant, json, digest } = contentOf(put);
  const before = await db
    .selectFrom('desired')
    .select('digest')
    .where('host', '=', host)
    .where('tenant', '=', tenant)
    .executeTakeFirst();
  const without = before === undefined ? row.digest : toggleDigest(row.digest, before.digest);
  const revision = row.revision + 1;
  await db
    .updateTable('hosts')
    .set({ revision, digest: toggleDigest(without, digest) })
    .where('host', '=', host)
    .execute();
  await db
    .insertInto('desired')
    .values({ host, tenant, kind: put.kind, json, digest, revision })
    .onConflict((oc) =>
      oc.columns(['host', 'tenant']).doUpdateSet({ kind: put.kind, json, digest, revision }),
    )
    .execute();
  return revision;
}

function contentOf(put: DesiredPut): { tenant: string; json: string; digest: string } {
  switch (put.kind) {
    case 'tenant':
    case 'tombstone':
      return { tenant: put.entry.tenant, json: JSON.stringify(put.entry), digest: entryDigest(put.entry) };
    case 'forgotten':
      // Toggling zeroes changes nothing: what is forgotten is no part of the host's digest.
      return { tenant: put.tenant, json: '', digest: EMPTY_DIGEST };
    default:
      return unreachable(put);
  }
}

interface Row {
  host: string;
  host_revision: number;
  host_digest: string;
  kind: DesiredEntry['kind'] | null;
  tenant: string | null;
  json: string | null;
}

/** All entries with the host's revision, in one statement and so of one moment. */
export async function desiredAll(db: Db, host: string): Promise<DesiredSnapshot> {
  const rows = await db
    .selectFrom('hosts')
    .leftJoin('desired', 'desired.host', 'hosts.host')
    .select([
      'hosts.host',
      'hosts.revision as host_revision',
      'hosts.digest as host_digest',
      'desired.kind',
      'desired.tenant',
      'desired.json',
    ])
    .where('hosts.host', '=', host)
    .execute();
  return snapshots(rows).get(host) ?? { revision: 0, digest: EMPTY_DIGEST, entries: [] };
}

/** What changed after each cursor, many hosts in one statement. */
export function createDesiredSince(
  dialect: Dialect,
): (db: Db, cursors: readonly DesiredCursor[]) => Promise<ReadonlyMap<string, DesiredSnapshot>> {
  const read = listStatement<Row>(
    dialect,
    ['text', 'bigint'],
    (cursors) => `
      select h.host, h.revision as host_revision, h.digest as host_digest, d.kind, d.tenant, d.json
      from ${cursors}
      join hosts h on h.host = list.c0 and h.revision > list.c1
      left join desired d on d.host = h.host and d.revision > list.c1`,
  );
  return async (db, cursors) =>
    snapshots(
      await read(
        db,
        cursors.map((cursor) => [cursor.host, cursor.revision]),
      ),
    );
}

function snapshots(rows: readonly Row[]): Map<string, DesiredSnapshot> {
  const found = new Map<string, { revision: number; digest: string; entries: DesiredEntry[] }>();
  for (const row of rows) {
    let snapshot = found.get(row.host);
    if (snapshot === undefined) {
      snapshot = { revision: row.host_revision, digest: row.host_digest, entries: [] };
      found.set(row.host, snapshot);
    }
    if (row.kind !== null && row.tenant !== null && row.json !== null)
      snapshot.entries.push({ kind: row.kind, tenant: row.tenant, json: row.json });
  }
  return found;
}
