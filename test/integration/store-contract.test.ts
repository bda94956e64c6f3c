import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDialect } from '@berth/coordinator/store/dialect';
import { migrate } from '@berth/coordinator/store/migrate';
import { foundation } from '@berth/coordinator/store/migrations/0001-foundation';
import { openStore } from '@berth/coordinator/store/open';
import { accessContract } from '../../packages/coordinator/test/store/contract-access.ts';
import { enrolmentContract } from '../../packages/coordinator/test/store/contract-enrolment.ts';
import { fleetContract } from '../../packages/coordinator/test/store/contract-fleet.ts';
import { journalContract } from '../../packages/coordinator/test/store/contract-journal.ts';
import { recordsContract } from '../../packages/coordinator/test/store/contract-records.ts';
import { rolloutFactsContract } from '../../packages/coordinator/test/store/contract-rollout-facts.ts';
import { rolloutsContract } from '../../packages/coordinator/test/store/contract-rollouts.ts';
import { auditContract } from '../../packages/coordinator/test/store/contract-audit.ts';
import { bulkContract } from '../../packages/coordinator/test/store/contract-bulk.ts';
import { toldContract } from '../../packages/coordinator/test/store/contract-told.ts';
import { secretsContract } from '../../packages/coordinator/test/store/contract-secrets.ts';
import { databasesContract } from '../../packages/coordinator/test/store/contract-databases.ts';
import { signersContract } from '../../packages/coordinator/test/store/contract-signers.ts';
import { addApp, addHost, addTenant, write } from '../../packages/coordinator/test/store/contract.ts';
import { faultOf } from '../../packages/coordinator/test/support/audit.ts';
import { startPostgres, type PostgresCluster } from './support/postgres.ts';

let cluster: PostgresCluster | null = null;
beforeAll(async () => {
  cluster = await startPostgres();
});
afterAll(async () => {
  await cluster?.stop();
});

async function emptyDatabase(): Promise<string> {
  if (cluster === null) throw new Error('the cluster did not start');
  return await cluster.database();
}
const open = async () => openStore({ kind: 'postgres', url: await emptyDatabase(), connections: 5 });

describe('PostgreSQL keeps the records', () => recordsContract(open));
describe('PostgreSQL keeps the journal', () => journalContract(open));
describe('PostgreSQL keeps who may do what', () => accessContract(open));
describe('PostgreSQL keeps what the fleet needs', () => fleetContract(open));
describe('PostgreSQL keeps what hosts say', () => toldContract(open));
describe('PostgreSQL keeps who enrolled', () => enrolmentContract(open));
describe('PostgreSQL keeps whose releases a pool runs', () => signersContract(open));
describe('PostgreSQL keeps servers and databases of tenants', () => databasesContract(open));

describe('PostgreSQL keeps the audit as one chain', () => auditContract(open));
describe('PostgreSQL keeps rollouts', () => rolloutsContract(open));
describe('PostgreSQL keeps what rollouts go by', () => rolloutFactsContract(open));
describe('PostgreSQL keeps secrets', () => secretsContract(open));
describe('PostgreSQL keeps many tenants at once', () => bulkContract(open));

describe('one PostgreSQL database with several coordinators', () => {
  test('is migrated once when they start at the same moment', async () => {
    const url = await emptyDatabase();
    const stores = await Promise.all(
      [1, 2, 3].map(() => openStore({ kind: 'postgres', url, connections: 2 })),
    );
    try {
      for (const store of stores) expect(await store.epoch()).toMatchObject({ epoch: 1 });
    } finally {
      await Promise.all(stores.map((store) => store.close()));
    }
  });

  test('gives event numbers in the order of commits without a gap, whoever writes', async () => {
    const url = await emptyDatabase();
    const [one, two] = await Promise.all(
      [1, 2].map(() => openStore({ kind: 'postgres', url, connections: 5 })),
    );
    if (one === undefined || two === undefined) throw new Error('two stores were asked for');
    try {
      await addApp(one);
      await addHost(one);
      const before = await one.lastEvent();
      const writers = [one, two].flatMap((store, s) =>
        Array.from({ length: 25 }, (_, n) => addTenant(store, `t-${s}-${n}`)),
      );
      await Promise.all(writers);
      await Promise.all(
        [one, two].map((store) =>
          write(store, (tx) =>
            tx.addEvents([
              {
                kind: 'app.applied',
                at: 1,
                tenant: null,
                app: 'shop',
                host: null,
                generation: null,
                message: 'applied',
                details: {},
              },
            ]),
          ),
        ),
      );
      expect((await two.events({}, before, 1000)).map((event) => event.id)).toEqual([before + 1, before + 2]);
      const audit = (await two.audit(undefined, 1000)).map((row) => row.id).reverse();
      expect(audit).toEqual(audit.map((_, n) => n + 1));
      expect((await one.fleet.desiredAll('h_0000000000000001')).revision).toBe(50);
    } finally {
      await Promise.all([one.close(), two.close()]);
    }
  });

  test('lets one transaction at a time go by an app: the second sees what the first has done', async () => {
    const url = await emptyDatabase();
    const [one, two] = await Promise.all(
      [1, 2].map(() => openStore({ kind: 'postgres', url, connections: 2 })),
    );
    if (one === undefined || two === undefined) throw new Error('two stores were asked for');
    const go = Promise.withResolvers<void>();
    try {
      await addApp(one);
      const source = await one.release('shop', 1);
      if (source === null) throw new Error('there is no release');
      const looked = Promise.withResolvers<void>();
      const first = write(one, async (tx) => {
        const app = await tx.app('shop');
        looked.resolve();
        await go.promise;
        await tx.insertRelease({ ...source, release: (app?.release ?? 0) + 1, digest: 'd2' });
      });
      await looked.promise;
      const second = write(two, async (tx) => (await tx.app('shop'))?.release);
      const early = new Promise((resolve) => setTimeout(() => resolve('waits'), 300));
      expect(await Promise.race([second, early])).toBe('waits');
      // Whoever only reads waits for nobody.
      expect((await two.app('shop'))?.release).toBe(1);
      go.resolve();
      await first;
      expect(await second).toBe(2);
    } finally {
      go.resolve();
      await Promise.all([one.close(), two.close()]);
    }
  });

  test('keeps one chain of the audit, whoever writes, and finds what somebody changed in the database', async () => {
    const url = await emptyDatabase();
    const stores = await Promise.all(
      [1, 2, 3].map(() => openStore({ kind: 'postgres', url, connections: 3 })),
    );
    const [one, two] = stores;
    if (one === undefined || two === undefined) throw new Error('two stores were asked for');
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await Promise.all(
        stores.flatMap((store, s) =>
          Array.from({ length: 30 }, (_, n) => write(store, (tx) => tx.insertApp(`app-${s}-${n}`, 1))),
        ),
      );
      const kept = await two.auditHead();
      expect(kept.number).toBe(90);
      expect(await faultOf(one)).toBeNull();

      await client.query(`update audit set subject = 'other' where id = 50`);
      expect(await faultOf(two)).toMatchObject({ kind: 'changed', record: 50 });
      await client.query(`update audit set subject = 'test' where id = 50`);
      expect(await faultOf(two)).toBeNull();
      await client.query(`delete from audit where id > 80`);
      expect(await faultOf(two)).toMatchObject({ kind: 'cut-off', record: 81 });
      await client.query(
        `update meta set last_audit = 80, audit_head = (select hash from audit where id = 80)`,
      );
      expect(await faultOf(two)).toBeNull();
      expect(await faultOf(two, [kept])).toMatchObject({ kind: 'cut-off', record: 81 });
    } finally {
      await client.end();
      await Promise.all(stores.map((store) => store.close()));
    }
  });

  test('chains the records of the audit that it has from before', async () => {
    const url = await emptyDatabase();
    const first = await createDialect({ kind: 'postgres', url, connections: 1 });
    await migrate(first, [foundation]);
    await first.db.destroy();
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query(`insert into audit (id, at, actor, action, subject, request_id, before, after)
        select n, 5, 'token:t_1', 'app.created', 'shop', 'r', 'null', '{"z": ' || n || ', "10": 1, "9": "é"}'
        from generate_series(1, 1203) as n`);
      await client.query('update meta set last_audit = 1203');
    } finally {
      await client.end();
    }
    const store = await openStore({ kind: 'postgres', url, connections: 2 });
    try {
      expect(await faultOf(store)).toBeNull();
      expect(await store.audit(undefined, 1)).toMatchObject([{ id: 1203, after: { z: 1203, 9: 'é' } }]);
      await write(store, (tx) => tx.insertApp('shop', 1));
      expect(await store.auditHead()).toMatchObject({ number: 1204 });
      expect(await faultOf(store)).toBeNull();
    } finally {
      await store.close();
    }
  });

  test('has neither the change nor the record when the record cannot be written', async () => {
    const url = await emptyDatabase();
    const store = await openStore({ kind: 'postgres', url, connections: 2 });
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query(`create function refuse() returns trigger language plpgsql
        as $$ begin raise exception 'injected'; end $$`);
      await client.query(`create trigger no_audit before insert on audit execute function refuse()`);
      await expect(write(store, (tx) => tx.insertApp('shop', 1))).rejects.toThrow('injected');
      expect(await store.app('shop')).toBeNull();
      expect(await store.auditHead()).toMatchObject({ number: 0 });
      await client.query('drop trigger no_audit on audit');
      await write(store, (tx) => tx.insertApp('shop', 1));
      expect(await store.app('shop')).not.toBeNull();
      expect(await faultOf(store)).toBeNull();
    } finally {
      await client.end();
      await store.close();
    }
  });

  test('of a newer Berth is refused with a sentence', async () => {
    const url = await emptyDatabase();
    await (await openStore({ kind: 'postgres', url, connections: 2 })).close();
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query("insert into schema_versions (number, name) values (99, 'future')");
    await client.end();
    await expect(openStore({ kind: 'postgres', url })).rejects.toThrow(/version 99.*newer Berth/);
  });
});
