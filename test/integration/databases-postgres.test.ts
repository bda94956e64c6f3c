import { afterAll, beforeAll, describe } from 'vitest';
import { databaseCases } from '../../packages/coordinator/test/services/databases-cases.ts';
import { startPostgres, type PostgresCluster } from './support/postgres.ts';

let cluster: PostgresCluster | null = null;
beforeAll(async () => {
  cluster = await startPostgres();
});
afterAll(async () => {
  await cluster?.stop();
});

describe('with PostgreSQL', () => {
  databaseCases(async () => {
    if (cluster === null) throw new Error('the database did not start');
    return { kind: 'postgres', url: await cluster.database(), connections: 3 };
  });
});
