import { DATABASE_VARIABLE, type DatabaseWish } from '@berth/shared/domain/database';
import { BerthError } from '@berth/shared/domain/errors';
import type { SecretRef } from '@berth/shared/domain/secret';
import type { TenantDatabaseRecord } from './database-store.ts';
import type { TenantRecord, VariableRecord } from './records.ts';
import type { StoreReads } from './store.ts';

export type ManagedWish = Extract<DatabaseWish, { kind: 'managed' }>;

/** A tenant whose release asks for a database that it does not have yet, or not like that. */
export interface WantedDatabase {
  tenant: string;
  app: string;
  pool: string;
  wish: ManagedWish;
  /** Whether a new tenant gets the data that a deleted one of its name left. */
  left: 'refuse' | 'take-up';
}

/**
 * Whether databases are missing is found out while a change is worked out; nothing of the change is kept then, the databases
 * are made, and it is worked out again. A server is never waited for within a transaction.
 */
export interface DatabaseLook {
  /** `look`: what is missing is noted here, and stood in for. `made`: nothing may be missing any more. */
  readonly stage: 'look' | 'made';
  wanted: WantedDatabase | null;
  left: WantedDatabase['left'];
}

export const lookForDatabase = (): DatabaseLook => ({ stage: 'look', wanted: null, left: 'refuse' });

/** Stands in for an address that is not there yet. It never gets into a desired state that is kept. */
const STAND_IN: SecretRef = { name: DATABASE_VARIABLE, version: 1, id: '0'.repeat(16) };

/** The rows with a stand-in for the address where there is none. */
export function withAddressStandIn(rows: readonly VariableRecord[]): VariableRecord[] {
  if (rows.some(isAddress)) return [...rows];
  return [...rows, { scope: 'secret', name: DATABASE_VARIABLE, value: JSON.stringify(STAND_IN) }];
}

export function isAddress(row: VariableRecord): boolean {
  return row.scope === 'secret' && row.name === DATABASE_VARIABLE;
}

/** Whether what the tenant has is what is wished for, and its address the one that Berth keeps. */
export function isProvided(
  record: TenantDatabaseRecord | null | undefined,
  address: Pick<SecretRef, 'id'> | undefined,
  wish: ManagedWish,
): boolean {
  return (
    record?.state === 'ready' &&
    record.secretId === address?.id &&
    record.connections === wish.connections &&
    (wish.server === null || wish.server === record.server) &&
    (wish.own === 'schema') === (record.schema !== null)
  );
}

/** Errors: `conflict` when somebody would set the address that Berth keeps: backups and the server go by it. */
export async function refuseOwnAddress(
  reads: Pick<StoreReads, 'tenantDatabase' | 'secretsOf'>,
  tenant: string,
  names: readonly string[],
): Promise<void> {
  if (!names.includes(DATABASE_VARIABLE)) return;
  const record = await reads.tenantDatabase(tenant);
  if (record === null) return;
  if (!(await reads.secretsOf(tenant)).some(({ id }) => id === record.secretId)) return;
  throw new BerthError(
    'conflict',
    `${DATABASE_VARIABLE} of tenant ${tenant} is made by Berth: it leads to ${record.database} on server ${record.server}. A database of your own goes by another name.`,
  );
}

/** Errors: `conflict` for a secret of that name which somebody set, and which Berth would put its own in the place of. */
export function refuseForeignAddress(
  { tenant, app }: Pick<TenantRecord, 'tenant' | 'app'>,
  record: TenantDatabaseRecord | null,
  address: Pick<SecretRef, 'id'> | undefined,
): void {
  if (address === undefined || address.id === STAND_IN.id || record?.secretId === address.id) return;
  throw new BerthError(
    'conflict',
    `Tenant ${tenant} has a secret ${DATABASE_VARIABLE} that somebody set, and app ${app} asks for a database that Berth makes (x-berth.database), whose address would take its place. Give your own another name, or take x-berth.database out.`,
  );
}
