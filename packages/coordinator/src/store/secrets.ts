import { sql, type Kysely } from 'kysely';
import { BerthError } from '@berth/shared/domain/errors';
import type { SecretPlace, SecretRef } from '@berth/shared/domain/secret';
import type { SecretInfo, SecretReads, SecretRecord, SecretWrites } from '../services/secret-store.ts';
import type { VariableRecord } from '../services/records.ts';
import type { SecretTable, Tables } from './tables.ts';

type Db = Kysely<Tables>;

/** What a template's secrets are filled in from: the newest version of each, without its value. */
export async function newestSecrets(db: Db, tenant: string): Promise<VariableRecord[]> {
  const rows = await db
    .selectFrom('tenant_secrets as s')
    .select(['s.name', 's.version', 's.id', 's.reference'])
    .where('s.tenant', '=', tenant)
    .where('s.version', '=', (eb) =>
      eb
        .selectFrom('tenant_secrets as n')
        .select((inner) => inner.fn.max('n.version').as('newest'))
        .whereRef('n.tenant', '=', 's.tenant')
        .whereRef('n.name', '=', 's.name'),
    )
    .orderBy('s.name')
    .execute();
  return rows.map(secretVariable);
}

export function secretVariable(row: {
  name: string;
  version: number;
  id: string;
  reference: string | null;
}): VariableRecord {
  const { name, version, id, reference } = row;
  const ref: SecretRef = { name, version, id, ...(reference === null ? {} : { from: reference }) };
  return { scope: 'secret', name, value: JSON.stringify(ref) };
}

export function secretReads(db: Db): SecretReads {
  return {
    async secretsOf(tenant) {
      const rows = await db
        .selectFrom('tenant_secrets')
        .select(['tenant', 'name', 'version', 'id', 'reference', 'key_name', 'created_at', 'created_by'])
        .where('tenant', '=', tenant)
        .orderBy('name')
        .orderBy('version', 'desc')
        .execute();
      return rows.map((row): SecretInfo => ({
        tenant: row.tenant,
        name: row.name,
        version: row.version,
        id: row.id,
        from: row.reference,
        key: row.key_name,
        createdAt: row.created_at,
        createdBy: row.created_by,
      }));
    },
    async secret({ tenant, name, version, id }) {
      const row = await db
        .selectFrom('tenant_secrets')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('name', '=', name)
        .where('version', '=', version)
        .where('id', '=', id)
        .executeTakeFirst();
      return row === undefined ? null : recordOf(row);
    },
    async secretKeys() {
      const rows = await db
        .selectFrom('tenant_secrets')
        .select(['key_name', (eb) => eb.fn.countAll<number>().as('versions')])
        .where('key_name', 'is not', null)
        .groupBy('key_name')
        .orderBy('key_name')
        .execute();
      return rows.flatMap(({ key_name: key, versions }) => (key === null ? [] : [{ key, versions }]));
    },
    async secretKeyUses(keys) {
      if (keys.length === 0) return [];
      const rows = await db
        .selectFrom('tenant_secrets')
        .select(['key_name', (eb) => eb.fn.countAll<number>().as('versions')])
        // No name has a slash.
        .select(sql<number>`count(distinct tenant || '/' || name)`.as('secrets'))
        .select(sql<number>`count(distinct tenant)`.as('tenants'))
        .where('key_name', 'in', keys)
        .groupBy('key_name')
        .orderBy('key_name')
        .execute();
      return rows.flatMap(({ key_name: key, ...counts }) => (key === null ? [] : [{ key, ...counts }]));
    },
    async secretsUnder(keys, { tenant, limit }) {
      if (keys.length === 0) return [];
      let query = db
        .selectFrom('tenant_secrets')
        .select(['tenant', 'name', 'key_name', (eb) => eb.fn.countAll<number>().as('versions')])
        .where('key_name', 'in', keys)
        .groupBy(['tenant', 'name', 'key_name'])
        .orderBy('tenant')
        .orderBy('name')
        .orderBy('key_name');
      if (tenant !== undefined) query = query.where('tenant', '=', tenant);
      if (limit !== undefined) query = query.limit(limit);
      const rows = await query.execute();
      return rows.flatMap(({ key_name: key, ...row }) => (key === null ? [] : [{ key, ...row }]));
    },
    async secretsNotUnder(key, after, limit) {
      let query = db
        .selectFrom('tenant_secrets')
        .selectAll()
        .where('key_name', 'is not', null)
        .where('key_name', '<>', key)
        .orderBy('tenant')
        .orderBy('name')
        .orderBy('version')
        .limit(limit);
      if (after !== null)
        query = query.where(
          sql<boolean>`(tenant, name, version) > (${after.tenant}, ${after.name}, ${after.version})`,
        );
      return (await query.execute()).map(recordOf);
    },
  };
}

export function secretWrites(db: Db): SecretWrites {
  const at = (place: SecretPlace) =>
    db
      .updateTable('tenant_secrets')
      .where('tenant', '=', place.tenant)
      .where('name', '=', place.name)
      .where('version', '=', place.version)
      .where('id', '=', place.id);
  return {
    async insertSecret({ tenant, name, version, id, content, createdAt, createdBy }) {
      const sealed = content.kind === 'sealed' ? content.sealed : null;
      await db
        .insertInto('tenant_secrets')
        .values({
          tenant,
          name,
          version,
          id,
          reference: content.kind === 'reference' ? content.from : null,
          key_name: sealed?.key ?? null,
          wrapped: sealed?.wrapped ?? null,
          box: sealed?.box ?? null,
          created_at: createdAt,
          created_by: createdBy,
        })
        .execute();
    },
    async rewrapSecret(place, { key, wrapped }) {
      await at(place).set({ key_name: key, wrapped }).execute();
    },
    async deleteSecret(tenant, name) {
      const done = await db
        .deleteFrom('tenant_secrets')
        .where('tenant', '=', tenant)
        .where('name', '=', name)
        .executeTakeFirst();
      return Number(done.numDeletedRows);
    },
    async deleteSecretVersions(tenant, name, versions) {
      if (versions.length === 0) return;
      await db
        .deleteFrom('tenant_secrets')
        .where('tenant', '=', tenant)
        .where('name', '=', name)
        .where('version', 'in', [...versions])
        .execute();
    },
  };
}

/** With the tenant itself. */
export async function forgetSecrets(db: Db, tenant: string): Promise<void> {
  await db.deleteFrom('tenant_secrets').where('tenant', '=', tenant).execute();
}

function recordOf(row: SecretTable): SecretRecord {
  const { tenant, name, version, id, reference, key_name: key, wrapped, box } = row;
  const of = { tenant, name, version, id, createdAt: row.created_at, createdBy: row.created_by };
  if (reference !== null) return { ...of, content: { kind: 'reference', from: reference } };
  // A row without its box must never become an empty value.
  if (key === null || wrapped === null || box === null)
    throw new BerthError(
      'secret_unavailable',
      `The secret ${name} (version ${version}) of tenant ${tenant} is damaged in the database; set it anew.`,
    );
  return { ...of, content: { kind: 'sealed', sealed: { key, wrapped, box } } };
}
