import { afterAll, beforeAll, describe } from 'vitest';
import { poolSignersCases } from '../../packages/coordinator/test/services/pool-signers-cases.ts';
import { startPostgres, type PostgresCluster } from './support/postgres.ts';

let cluster: PostgresCluster | null = null;
beforeAll(async () => {
  cluster = await startPostgres();
});
afterAll(async () => {
  await cluster?.stop();
});

describe('with PostgreSQL', () => {
  poolSignersCases(async () => {
    if (cluster === null) throw new Error('the database did not start');
    return { kind: 'postgres', url: await cluster.database(), connections: 3 };
  });
});
