import { createHash } from 'node:crypto';

/** PostgreSQL cuts longer names off, in bytes. */
const MOST_BYTES = 63;

export interface DatabaseNames {
  role: string;
  database: string;
  /** Null: the database is the tenant's alone. */
  schema: string | null;
}

/**
 * What a tenant's things are called on a server. Two tenants never share a name, and no tenant's database is called like
 * an app's. Nothing needs quotes: names hold small letters, digits and `_`.
 */
export function databaseNames(tenant: string, app: string, own: 'database' | 'schema'): DatabaseNames {
  const mine = legal(`berth_t_`, tenant);
  if (own === 'database') return { role: mine, database: mine, schema: null };
  return { role: mine, database: legal('berth_app_', app), schema: mine };
}

/** Names of tenants and apps hold no `_`, so that `-` can become one; anything that had to change more has its hash. */
function legal(prefix: string, name: string): string {
  const plain = `${prefix}${name.replaceAll('-', '_')}`;
  if (/^[a-z0-9-]+$/.test(name) && plain.length <= MOST_BYTES) return plain;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 16);
  const stem = `${prefix}${name.toLowerCase().replaceAll(/[^a-z0-9]/g, '_')}`;
  return `${stem.slice(0, MOST_BYTES - 18)}__${hash}`;
}
