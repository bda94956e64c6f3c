import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { PoolSignersShown } from '@berth/shared/api/signers';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { signSigners, standingOf, SignedSigners, type PoolSigners } from '@berth/shared/domain/signers';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { ask } from '../support/load.ts';
import { startRollout } from '../support/rollouts.ts';
import { berthIn, type Said } from './support/berth.ts';
import { inWeb, publicOf, startSignedApp, stolenDatabase } from './support/signed-app.ts';

/**
 * A pool that runs only what its keys have signed, set from the command line, and a coordinator that somebody has stolen:
 * he has its database, and none of the keys.
 */

const docker = dockerAt(sharedSocket());
const berth = berthIn('berth-signers-');
const thief = generateKeyPairSync('ed25519').privateKey;
const POOL = 'default';
let fleet: Fleet;
let agent: AgentProcess;
let app: Awaited<ReturnType<typeof startSignedApp>>;
let stolen: ReturnType<typeof stolenDatabase>;
let pokes = 0;

beforeAll(async () => {
  app = await startSignedApp(docker);
  fleet = await startFleet();
  agent = await fleet.addAgent();
  stolen = stolenDatabase(join(fleet.dir, 'berth.db'));
  for (const name of ['ci-2026', 'ci-2027', 'spare'])
    expect(await berth.run(['release', 'keygen', '--out', `${name}.key`])).toMatchObject({ code: 0 });
});
afterAll(async () => {
  stolen?.close();
  await fleet?.close();
  await app?.close();
  berth.remove();
});

const keyOf = (name: string): KeyObject => createPrivateKey(readFileSync(join(berth.dir, `${name}.key`)));

/** `berth pool signers …`, as a person types it. */
async function signers(line: string): Promise<Said> {
  const env = {
    BERTH_URL: fleet.coordinator.url(),
    BERTH_TOKEN: readFileSync(join(fleet.dir, 'admin-token'), 'utf8').trim(),
  };
  const said = await berth.run(['pool', 'signers', ...line.split(' ')], { env });
  expect(said, said.stderr).toMatchObject({ code: 0 });
  return said;
}

const sign = (name: string, release: number, version: string): Promise<void> =>
  app.sign(fleet.api(), { name, key: keyOf(name) }, { app: 'shop', release, version });

/** Resolves with the host's word on the statement that it was given last. */
const WRITTEN = { timeout: 5_000, interval: 100 };

async function says(
  kind: 'host.signers_pinned' | 'host.signers_refused',
  after: number,
  of = agent,
): Promise<{ message: string; details: Record<string, unknown> }> {
  return await fleet.journal.until(kind, (event) => event.kind === kind && event.host === of.host(), {
    after,
  });
}

async function hostState(of = agent): Promise<PoolSignersShown['hosts'][number]['state'] | undefined> {
  const { hosts } = await fleet.api().showPoolSigners({ params: { pool: POOL } });
  return hosts.find((each) => each.host === of.host())?.state;
}

async function untilState(state: PoolSignersShown['hosts'][number]['state'], of = agent): Promise<void> {
  const until = Date.now() + 10_000;
  while ((await hostState(of)) !== state) {
    if (Date.now() > until) throw new Error(`host is ${String(await hostState(of))}\n${fleet.logs()}`);
    await sleep(100);
  }
}

async function running(tenant: string): Promise<string[]> {
  const seen = (await fleet.containers(tenant)).filter((each) => each.state === 'running');
  const inspected = await Promise.all(seen.map(({ id }) => docker.getContainer(id).inspect()));
  return inspected.map(({ Config }) => Config.Image);
}

/** What the thief wants run; the host hears of it with the next change of a neighbour. */
async function write(entry: DesiredTenant): Promise<void> {
  stolen.write(entry);
  pokes += 1;
  const domains = ['beta.test', `beta-${pokes}.test`];
  await fleet.api().changeTenant({ params: { tenant: 'beta' }, body: { domains } });
}

const theirs = (entry: DesiredTenant): DesiredTenant => {
  const { signature: _none, ...unsigned } = entry;
  return inWeb(unsigned, { image: app.evil });
};

const Rows = z.array(
  z.object({
    pool: z.string(),
    version: z.number(),
    standing: z.string(),
    json: z.string(),
    created_at: z.number(),
  }),
);
type Rows = z.infer<typeof Rows>;
const rowsNow = (): Rows =>
  Rows.parse(stolen.database.prepare('select * from pool_signers order by pool, version').all());

function put(rows: readonly Rows[number][]): void {
  const change = stolen.database.transaction(() => {
    stolen.database.prepare('delete from pool_signers').run();
    for (const row of rows)
      stolen.database
        .prepare(
          'insert into pool_signers (pool, version, standing, json, created_at) values (?, ?, ?, ?, ?)',
        )
        .run(row.pool, row.version, row.standing, row.json, row.created_at);
  });
  change.immediate();
}

const rowOf = (statement: SignedSigners): Rows[number] => ({
  pool: statement.signers.pool,
  version: statement.signers.version,
  standing: standingOf(statement),
  json: JSON.stringify(statement),
  created_at: 1,
});

test('a pool is switched while it serves: what runs goes on, and nothing new starts that its key has not signed', async () => {
  expect(await app.create(fleet.api(), 'shop', '1')).toBe(1);
  await fleet.create('acme', 'shop');
  await fleet.create('beta', 'shop');
  expect(await app.create(fleet.api(), 'shop', '2')).toBe(2);
  const before = fleet.lastEvent();
  const { stdout } = await signers(`set ${POOL} --key ci-2026.pub --sign-with ci-2026.key`);
  expect(stdout).toContain('runs only releases that one of these keys has signed (version 1)');
  expect((await says('host.signers_pinned', before)).message).toContain(
    'only releases that are signed by ci-2026 run',
  );
  await untilState('goes-by');
  expect((await signers(`show ${POOL}`)).stdout).toMatch(/goes by it/);

  expect((await ask(fleet.place('acme'))).body).toBe('1');
  const why = {
    code: 'release_not_signed',
    message: expect.stringMatching(
      /^Pool default runs only .*release [12] of shop is not.*berth release sign shop [12]/,
    ),
  };
  await expect(fleet.api().restartTenant({ params: { tenant: 'acme' } })).rejects.toMatchObject(why);
  await expect(fleet.create('gamma', 'shop')).rejects.toMatchObject(why);
  await expect(startRollout(fleet, { app: 'shop', to: 2, waves: '100%' })).rejects.toMatchObject(why);
  await sign('ci-2026', 1, '1');
  await fleet.untilLive(await fleet.api().restartTenant({ params: { tenant: 'acme' } }));
  expect(new Set(await running('acme'))).toEqual(new Set([app.ours]));
});

test('a host that is new, or has lost its state, pins it before it looks at what is desired', async () => {
  let before = fleet.lastEvent();
  const other = await fleet.addAgent();
  await says('host.signers_pinned', before, other);
  const zeta = { tenant: 'zeta', app: 'shop', release: 1, domains: ['zeta.test'], host: other.host() };
  await fleet.untilLive(await fleet.api().createTenant({ body: zeta }));
  await other.kill();
  rmSync(join(other.stateDir, 'signers.json'));
  const good = stolen.current('zeta');
  stolen.write(theirs(good));
  before = fleet.lastEvent();
  await fleet.restart(other);
  await says('host.signers_pinned', before, other);
  await fleet.untilTenant('says why', 'zeta', (now) => now.problem?.code === 'release_not_signed');
  expect(await app.pulled(app.evil)).toEqual([]);
  await other.kill();
});

test('keys are exchanged, also while a host is away that has missed the one between', async () => {
  await agent.kill();
  const { stdout } = await signers(`set ${POOL} --key ci-2027.pub --sign-with ci-2026.key`);
  expect(stdout).toContain('ci-2026 signed this for the last time');
  await signers(`set ${POOL} --key ci-2027.pub --key spare.pub --sign-with ci-2027.key`);
  const before = fleet.lastEvent();
  await fleet.restart(agent);
  expect((await says('host.signers_pinned', before)).details).toMatchObject({ version: 3, required: true });
  await untilState('goes-by');
  await expect(fleet.api().restartTenant({ params: { tenant: 'acme' } })).rejects.toMatchObject({
    message: expect.stringContaining('signed by ci-2027, spare'),
  });
  await sign('ci-2027', 1, '1');
  await fleet.untilLive(await fleet.api().restartTenant({ params: { tenant: 'acme' } }));
});

describe('a stolen coordinator', () => {
  let good: DesiredTenant;
  let rows: Rows;
  beforeEach(async () => {
    good = stolen.current('acme');
    rows = rowsNow();
    await fleet.untilSettled('acme', good.generation);
  });
  afterEach(async () => {
    put(rows);
    stolen.database.prepare('update hosts set pool = ?').run(POOL);
    await write(good);
    await fleet.untilTenant('is as it was', 'acme', (now) => now.phase === 'settled' && now.problem === null);
    await fleet.restart(agent);
    await untilState('goes-by');
  });

  const own = (version: number, more: Partial<PoolSigners>, by: readonly KeyObject[]): SignedSigners => {
    const keys = [{ name: 'ci-2027', publicKey: publicOf(keyOf('ci-2027')) }];
    const made = { pool: POOL, version, required: true, keys, ...more };
    return { signers: made, by: by.map((key) => ({ key: 'ci-2027', value: signSigners(key, made) })) };
  };
  const newest = (): SignedSigners => SignedSigners.parse(JSON.parse(rows.at(-1)?.json ?? 'null'));
  const attempts: [string, string, () => void][] = [
    ['takes the statement away', 'vanished', () => put([])],
    [
      'puts one of his own key in its place',
      'foreign',
      () =>
        put([
          rowOf(
            own(4, { keys: [{ name: 'ci-2027', publicKey: publicOf(thief) }], required: false }, [thief]),
          ),
        ]),
    ],
    ['sets it back to an older one', 'older', () => put(rows.slice(0, 1))],
    [
      'writes that no signature is required',
      'unsigned',
      () => put([...rows, rowOf(own(4, { required: false }, []))]),
    ],
    [
      'relaxes it under its own number',
      'conflicting',
      () => {
        const { signers: made, by } = newest();
        put([...rows.slice(0, -1), rowOf({ signers: { ...made, required: false }, by })]);
      },
    ],
    [
      'adds a key of his to the list, with a higher number and the signature that there is',
      'foreign',
      () => {
        const { signers: made, by } = newest();
        const keys = [...made.keys, { name: 'thief', publicKey: publicOf(thief) }];
        put([...rows, rowOf({ signers: { ...made, version: 4, keys }, by })]);
      },
    ],
    [
      'says that the host is of another pool, which requires none',
      'other-pool',
      () => {
        stolen.database.prepare("update hosts set pool = 'free'").run();
        put([...rows, rowOf(own(9, { pool: 'free', required: false }, [thief]))]);
      },
    ],
  ];

  test.each(attempts)('that %s gets nothing started, and is told of (%s)', async (_what, why, attack) => {
    const containers = (await fleet.containers('acme')).map((each) => each.id).sort();
    const before = fleet.lastEvent();
    attack();
    await fleet.restart(agent);
    const told = await says('host.signers_refused', before);
    expect(told.details).toEqual({ why });
    expect(told.message).toContain('Version 3 stays in force: only signed releases run here.');

    await write(theirs(good));
    const failed = await fleet.untilTenant(
      'says why',
      'acme',
      (now) => now.phase === 'failed' && now.problem?.code === 'release_not_signed',
    );
    expect(failed.problem?.message).toContain(
      'is not signed by a key that this host accepts (ci-2027, spare)',
    );
    expect((await ask(fleet.place('acme'))).body).toBe('1');
    expect((await fleet.containers('acme')).map((each) => each.id).sort()).toEqual(containers);
    expect(await app.pulled(app.evil)).toEqual([]);
    // What a host says of itself is written a moment after its events.
    await vi.waitFor(async () => {
      const { advice } = await fleet.api().explainTenant({ params: { tenant: 'acme' } });
      expect(advice.join('\n')).toContain('refuses what it was sent of its pool');
    }, WRITTEN);
    const shown = await fleet.api().showHost({ params: { host: agent.host() } });
    expect(shown.facts['signersRefused']).toBe(told.message.slice(0, 200));
  });
});

test('whoever has a key can have the pool run unsigned releases again', async () => {
  const before = fleet.lastEvent();
  await signers(`clear ${POOL} --sign-with spare.key`);
  expect((await says('host.signers_pinned', before)).details).toMatchObject({ version: 4, required: false });
  const generation = await vi.waitFor(() => fleet.release('acme', 2), WRITTEN);
  await fleet.untilLive(generation);
  await fleet.untilAnswers('acme', '2');
});
