import type { TenantDatabase } from '@berth/shared/api/databases';
import type { DatabaseReads, TenantDatabaseRecord } from './database-store.ts';

/** What is shown of a tenant's database; nothing where there is none. */
export async function databaseOf(
  reads: Pick<DatabaseReads, 'tenantDatabase'>,
  tenant: string,
): Promise<{ database?: TenantDatabase }> {
  const record = await reads.tenantDatabase(tenant);
  return record === null ? {} : { database: databaseShown(record) };
}

export function databaseShown(record: TenantDatabaseRecord): TenantDatabase {
  const { tenant, app, server, database, schema, role, connections, state, createdAt } = record;
  return { tenant, app, server, database, schema, role, connections, state, createdAt };
}
