import type { DatabaseServerCheck, DatabaseServerDetail, TenantDatabase } from '@berth/shared/api/databases';
import { APP, NOW, OTHER, TENANT } from './long.ts';

/** Database servers and databases with the longest names that are allowed. */
export const SERVER = 'a-database-server-with-a-name-of-40-char';

export const database: TenantDatabase = {
  tenant: TENANT,
  app: APP,
  server: SERVER,
  database: `berth_app_${APP.replaceAll('-', '_')}`,
  schema: `berth_t_${TENANT.replaceAll('-', '_')}`,
  role: `berth_t_${TENANT.replaceAll('-', '_')}`,
  connections: 10_000,
  state: 'making',
  createdAt: NOW,
};

export const server: DatabaseServerDetail = {
  server: SERVER,
  engine: 'postgres',
  host: 'a-database-of-all-customers.cluster-c0123456789.eu-central-1.rds.amazonaws.com',
  port: 65_432,
  user: 'the_administrator_of_all_the_databases_with_63_characters_abcde',
  database: 'postgres',
  sslmode: 'verify-full',
  version: '16.4',
  standing: 'default',
  tenants: 12_345,
  leftBehind: 1_234,
  createdAt: NOW,
  checkedAt: NOW,
  databases: [database, { ...database, tenant: OTHER, schema: null, state: 'ready' }],
  left: [database],
};

export const check: DatabaseServerCheck = {
  server: SERVER,
  version: '16.4',
  tls: 'encrypted',
  connections: { most: 5_000, used: 4_999 },
  notes: [
    'Every role may connect to postgres, template1, and to several others that are named at length here.',
  ],
};
