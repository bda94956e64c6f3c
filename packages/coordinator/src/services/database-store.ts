import type { SslMode } from './database-address.ts';

/** A registered server. Its address is kept beside the tenants' secrets, as the one that `secretVersion` and `secretId` name. */
export interface DatabaseServerRecord {
  server: string;
  host: string;
  port: number;
  user: string;
  database: string;
  sslmode: SslMode;
  sslrootcert: string | null;
  /** As it said itself when it was last looked at. */
  version: string;
  standing: 'default' | 'other';
  secretVersion: number;
  secretId: string;
  createdAt: number;
  checkedAt: number;
}

/** What a tenant has on a server. It outlives the tenant. */
export interface TenantDatabaseRecord {
  tenant: string;
  app: string;
  /** Where the tenant is or was: who may see that pool may take up what it left. */
  pool: string;
  server: string;
  mark: string;
  role: string;
  database: string;
  schema: string | null;
  connections: number;
  /** `making`: it may be there, or half of it. */
  state: 'making' | 'ready';
  /** The version of the tenant's secret that holds its address; empty: an administrator has begun to delete it. */
  secretId: string;
  createdAt: number;
}

export interface ListedDatabase extends TenantDatabaseRecord {
  /** `gone`: the tenant was deleted. */
  of: 'tenant' | 'gone';
}

export interface DatabaseReads {
  /** By name. */
  databaseServers(): Promise<DatabaseServerRecord[]>;
  databaseServer(server: string): Promise<DatabaseServerRecord | null>;
  /** Inside a transaction it is held until its end. */
  tenantDatabase(tenant: string): Promise<TenantDatabaseRecord | null>;
  tenantDatabasesNamed(tenants: readonly string[]): Promise<TenantDatabaseRecord[]>;
  /** By tenant; `gone`: only those whose tenant is no more. */
  databasesOn(server: string, which: 'all' | 'gone', limit: number): Promise<ListedDatabase[]>;
  /** Of each server that has any: of tenants, and of tenants that are no more. */
  databaseCounts(): Promise<ReadonlyMap<string, { tenants: number; gone: number }>>;
}

export interface DatabaseWrites {
  /** Instead of the one of this name. The only default is the one that says so. */
  putDatabaseServer(record: DatabaseServerRecord): Promise<void>;
  deleteDatabaseServer(server: string): Promise<void>;
  /** Instead of the tenant's. */
  putTenantDatabase(record: TenantDatabaseRecord): Promise<void>;
  deleteTenantDatabase(tenant: string): Promise<void>;
}
