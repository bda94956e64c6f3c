import { afterAll, beforeAll, describe } from 'vitest';
import { testCoordinator } from '../../packages/coordinator/test/support/coordinator.ts';
import { hostileTexts } from '../../packages/coordinator/test/support/hostile.ts';
import { startPostgres, type PostgresCluster } from './support/postgres.ts';

let cluster: PostgresCluster | null = null;
beforeAll(async () => {
  cluster = await startPostgres();
});
afterAll(async () => {
  await cluster?.stop();
});

describe('a hostile text before PostgreSQL, which takes no NUL', () =>
  hostileTexts(async () => {
    if (cluster === null) throw new Error('the cluster did not start');
    return await testCoordinator({
      store: { kind: 'postgres', url: await cluster.database(), connections: 5 },
    });
  }));
