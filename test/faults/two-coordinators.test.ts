import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClient, type ApiClient } from '@berth/shared/api/client';
import type { Event } from '@berth/shared/api/schemas';
import { BerthError } from '@berth/shared/domain/errors';
import { RolloutPolicy, type RolloutState } from '@berth/shared/domain/rollout';
import { CLOSE } from '@berth/shared/protocol/messages';
import { parseWaves } from '@berth/shared/domain/waves-text';
import { hostOn, type SimulatedHost } from '../fakes/simulated-host.ts';
import { startCoordinator, type CoordinatorProcess } from '../integration/support/coordinator-process.ts';
import { startPostgres, type PostgresCluster } from '../integration/support/postgres.ts';

const HOSTS = 4;
const PER_HOST = 3;
const ROLLED = ['shop', 'blog'];
const CHANGED = 'notes';
const composeOf = (version: number): string => `
services:
  web:
    image: registry.test/web:${version}
    environment: { GREETING: "\${GREETING:-hello}" }
    deploy: { resources: { limits: { cpus: "0.01", memory: 16M } } }
    x-berth: { route: { port: 80 } }
`;

let dir = '';
let cluster: PostgresCluster | undefined;
let one: CoordinatorProcess;
let two: CoordinatorProcess;
let viaOne: ApiClient;
let viaTwo: ApiClient;
const hosts: SimulatedHost[] = [];
const namesOf = (app: string): string[] =>
  Array.from({ length: HOSTS * PER_HOST }, (_, n) => `${app}-${n + 1}`);

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'berth-two-'));
  cluster = await startPostgres();
  const store = { kind: 'postgres', url: await cluster.database(), connections: 10 };
  one = await startCoordinator(dir, { store });
  two = await startCoordinator(dir, { store });
  const token = readFileSync(join(dir, 'admin-token'), 'utf8').trim();
  viaOne = createClient({ url: one.url, token });
  viaTwo = createClient({ url: two.url, token });
  // Half of the hosts at each, as behind a load balancer.
  for (let n = 0; n < HOSTS; n += 1)
    hosts.push(await hostOn(n % 2 === 0 ? one.url : two.url, viaOne, `host-${n}`));
  await until('every host is online', async () => (await viaOne.status()).hosts.online === HOSTS);
  for (const app of [...ROLLED, CHANGED])
    await viaOne.applyApp({ params: { app }, body: { compose: composeOf(1) } });
  for (const app of [...ROLLED, CHANGED])
    for (const [n, tenant] of namesOf(app).entries()) {
      const host = hosts[n % HOSTS]?.host;
      const body = {
        tenant,
        app,
        domains: [`${tenant}.example.com`],
        ...(host === undefined ? {} : { host }),
      };
      await (n % 2 === 0 ? viaTwo : viaOne).createTenant({ body });
    }
  await until('every tenant serves', async () => (await viaOne.status()).tenants.moving === 0);
});
afterAll(async () => {
  for (const each of hosts) each.agent.close();
  await one?.end('SIGKILL');
  await two?.end('SIGKILL');
  await cluster?.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > end)
      throw new Error(`it never came: ${what}\n${one.log().slice(-3000)}\n${two.log().slice(-3000)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function start(api: ApiClient, app: string, to: number): Promise<number> {
  const parsed = parseWaves('2,50%,100%');
  if (!parsed.ok) throw new Error(parsed.error);
  const policy = RolloutPolicy.parse({ waves: parsed.waves, bakeMs: 200 });
  return (await api.startRollout({ body: { app, to, policy } })).rollout;
}
const stateOf = async (api: ApiClient, rollout: number): Promise<RolloutState['kind']> =>
  (await api.showRollout({ params: { rollout } })).state.kind;
const release = async (api: ApiClient, version: number): Promise<void> => {
  for (const app of ROLLED) await api.applyApp({ params: { app }, body: { compose: composeOf(version) } });
};
async function generations(api: ApiClient): Promise<Map<string, number>> {
  const { items } = await api.listTenants({ query: { limit: 1000 } });
  return new Map(items.map((each) => [each.tenant, each.generation]));
}
async function eventsAfter(api: ApiClient, after: number): Promise<Event[]> {
  const all: Event[] = [];
  for (let from = after; ;) {
    const { items } = await api.listEvents({ query: { after: from, limit: 1000 } });
    all.push(...items);
    const last = items.at(-1);
    if (last === undefined) return all;
    from = last.id;
  }
}
/** How often each tenant was told to move. */
function moves(events: readonly Event[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind, tenant, details } of events) {
    const progress = details['progress'];
    if (kind !== 'rollout.tenant' || tenant === null) continue;
    if (typeof progress !== 'object' || progress === null || !('kind' in progress)) continue;
    if (progress.kind === 'moving') counts[tenant] = (counts[tenant] ?? 0) + 1;
  }
  return counts;
}
const each = (names: readonly string[], value: number): Record<string, number> =>
  Object.fromEntries(names.map((name) => [name, value]));
function grown(before: Map<string, number>, after: Map<string, number>, app: string): Record<string, number> {
  return Object.fromEntries(
    namesOf(app).map((tenant) => [tenant, (after.get(tenant) ?? 0) - (before.get(tenant) ?? 0)]),
  );
}

describe('two coordinators on one PostgreSQL', () => {
  test('end the session of a host that was removed at the other one', async () => {
    const stray = await hostOn(two.url, viaOne, 'stray');
    hosts.push(stray);
    await until('it is online', async () => (await viaOne.status()).hosts.online === HOSTS + 1);
    const socket = stray.agent.socket;
    expect(socket).not.toBeNull();
    const code = new Promise<number>((resolve) => socket?.once('close', resolve));
    await viaOne.removeHost({ params: { host: stray.host } });
    expect(await code).toBe(CLOSE.unauthenticated);
    const { items } = await viaTwo.listEvents({ query: { host: stray.host, limit: 10 } });
    expect(items.map((event) => event.kind)).toContain('host.removed');
    // Those that nobody removed stay.
    expect((await viaTwo.status()).hosts.online).toBe(HOSTS);
  });

  test('begin one rollout of an app when both are asked at the same moment, and move each tenant once', async () => {
    await release(viaOne, 2);
    const before = await generations(viaOne);
    const mark = (await viaOne.status()).lastEvent;
    const begun: number[] = [];
    for (const app of ROLLED) {
      const asked = await Promise.allSettled(
        [viaOne, viaTwo, viaOne, viaTwo, viaOne, viaTwo].map((api) => start(api, app, 2)),
      );
      const won = asked.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
      const codes = asked.flatMap((answer) =>
        answer.status === 'rejected' && answer.reason instanceof BerthError ? [answer.reason.code] : [],
      );
      expect({ app, won: won.length, codes }).toEqual({ app, won: 1, codes: Array(5).fill('conflict') });
      begun.push(...won);
    }

    // Meanwhile the other app's tenants are changed through both, many at the same moment.
    const changes = 8;
    const answers = await Promise.all(
      namesOf(CHANGED).flatMap((tenant) =>
        Array.from({ length: changes }, async (_, n) =>
          (n % 2 === 0 ? viaOne : viaTwo).changeTenant({
            params: { tenant },
            body: { variables: { GREETING: `${tenant} ${n}` } },
          }),
        ),
      ),
    );
    expect(answers.map(({ result }) => result)).toEqual(answers.map(() => 'changed'));
    expect(new Set(answers.map(({ tenant, generation }) => `${tenant} ${generation}`)).size).toBe(
      answers.length,
    );

    for (const rollout of begun)
      await until(
        `rollout ${rollout} is complete`,
        async () => (await stateOf(viaTwo, rollout)) === 'completed',
      );
    const after = await generations(viaOne);
    for (const app of ROLLED) expect(grown(before, after, app)).toEqual(each(namesOf(app), 1));
    expect(grown(before, after, CHANGED)).toEqual(each(namesOf(CHANGED), changes));
    const events = await eventsAfter(viaTwo, mark);
    expect(moves(events)).toEqual(each(ROLLED.flatMap(namesOf), 1));
    expect(events.map(({ id }) => id)).toEqual(events.map((_, n) => mark + 1 + n));

    // Whoever made the change, the agent at the other coordinator has it too.
    await until('every agent has what is desired', async () => {
      const { items } = await viaOne.listHosts({ query: {} });
      return items.every((host) => host.ackedRevision === host.revision);
    });
    for (const host of hosts)
      for (const [tenant, told] of host.told) {
        expect(told).toEqual(told.toSorted((a, b) => a - b));
        expect(told.at(-1)).toBe(after.get(tenant));
      }
  });

  test('give out each generation once while rollouts are paused and resumed and their tenants changed through both', async () => {
    await release(viaOne, 3);
    const before = await generations(viaOne);
    const mark = (await viaOne.status()).lastEvent;
    const rollout = await start(viaTwo, 'shop', 3);
    const params = { rollout };
    const acted = await Promise.allSettled(
      [viaOne, viaTwo, viaOne, viaTwo].map((api) => api.pauseRollout({ params, body: {} })),
    );
    expect(acted.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const changed = await Promise.all(
      namesOf('shop').flatMap((tenant) =>
        [viaOne, viaTwo].map(async (api, n) =>
          api.changeTenant({ params: { tenant }, body: { variables: { GREETING: `during ${n}` } } }),
        ),
      ),
    );
    await Promise.allSettled([viaOne, viaTwo].map((api) => api.resumeRollout({ params, body: {} })));
    const begun = await start(viaOne, 'blog', 3);
    const ENDS: readonly string[] = ['completed', 'waiting'];
    for (const each of [rollout, begun])
      await until(`rollout ${each} has an end`, async () => ENDS.includes(await stateOf(viaOne, each)));
    const after = await generations(viaOne);
    const moved = moves(await eventsAfter(viaOne, mark));
    const expected: Record<string, number> = {};
    for (const tenant of namesOf('shop'))
      expected[tenant] =
        (moved[tenant] ?? 0) +
        changed.filter((each) => each.tenant === tenant && each.result === 'changed').length;
    expect(grown(before, after, 'shop')).toEqual(expected);
    expect(grown(before, after, 'blog')).toEqual(each(namesOf('blog'), 1));
    expect(Math.max(...Object.values(moved))).toBe(1);
  });

  test('do nothing twice when one is killed in the middle of rollouts: the other finishes them', async () => {
    await release(viaTwo, 4);
    const before = await generations(viaTwo);
    const mark = (await viaTwo.status()).lastEvent;
    const begun = [await start(viaOne, 'shop', 4), await start(viaTwo, 'blog', 4)];
    await until('the second wave moves', async () =>
      (await eventsAfter(viaTwo, mark)).some(
        ({ kind, app, details }) => kind === 'rollout.tenant' && app === 'shop' && details['wave'] === 2,
      ),
    );
    await one.end('SIGKILL');
    for (const host of hosts) if (host.url() === one.url) await host.moveTo(two.url);
    for (const rollout of begun)
      await until(
        `rollout ${rollout} is complete`,
        async () => (await stateOf(viaTwo, rollout)) === 'completed',
      );
    const after = await generations(viaTwo);
    for (const app of ROLLED) expect(grown(before, after, app)).toEqual(each(namesOf(app), 1));
    expect(moves(await eventsAfter(viaTwo, mark))).toEqual(each(ROLLED.flatMap(namesOf), 1));
  });
});
