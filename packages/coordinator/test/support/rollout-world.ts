import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { CreateTenant } from '@berth/shared/api/schemas';
import type { Rollout } from '@berth/shared/api/rollouts';
import { DesiredTenant } from '@berth/shared/domain/desired';
import type { ErrorCode } from '@berth/shared/domain/errors';
import { parseWaves } from '@berth/shared/domain/waves-text';
import type { TenantReport } from '@berth/shared/protocol/report';
import { COMPOSE, testServices, type TestServices } from './coordinator.ts';
import { BY, hello, report } from './samples.ts';

/** How an agent takes a generation that it has not seen before. */
export type Manner = 'good' | 'silent' | { fails: ErrorCode };

export interface World {
  t: TestServices;
  hosts: string[];
  /** What each agent's tenant is like, by name; those that are not here are good. */
  manners: Map<string, Manner>;
  desired(tenant: string): Promise<DesiredTenant>;
  /** A new release of the app. */
  release(change?: (compose: string) => string): Promise<number>;
  tenant(name: string, given?: object): Promise<void>;
  start(to: number, waves: string, policy?: object, whenBusy?: 'refuse' | 'queue'): Promise<Rollout>;
  /** Rounds of: the driver looks, agents do what is desired and report, a second passes. */
  rounds(count: number): Promise<void>;
  online(host: string): Promise<void>;
  offline(host: string): Promise<void>;
  /** Progress by tenant. */
  progress(rollout: number): Promise<Record<string, string>>;
  close(): Promise<void>;
}

/** An app with release 1 and a release 2, two hosts, and tenants a, b, c, … that serve release 1. */
export async function rolloutWorld(tenants = 4): Promise<World> {
  const t = await testServices();
  const hosts = [await t.host('one'), await t.host('two')];
  const manners = new Map<string, Manner>();
  const said = new Map<string, TenantReport>();
  let releases = 0;

  async function release(change: (compose: string) => string = (text) => text): Promise<number> {
    releases += 1;
    const compose = change(COMPOSE.replace('GREETING:-hello', `GREETING:-hello${releases}`));
    const applied = await t.services.apps.apply(BY, 'shop', { compose, envFiles: {}, labels: {}, set: {} });
    return applied.release;
  }

  async function tenant(name: string, given: object = {}): Promise<void> {
    await t.services.tenants.create(
      BY,
      CreateTenant.parse({ tenant: name, app: 'shop', domains: [`${name}.example.com`], ...given }),
    );
    await agents();
  }

  async function entries(): Promise<{ host: string; entry: DesiredTenant }[]> {
    const all = [];
    for (const host of hosts)
      for (const { kind, json } of (await t.store.fleet.desiredAll(host)).entries)
        if (kind === 'tenant') all.push({ host, entry: DesiredTenant.parse(JSON.parse(json)) });
    return all;
  }

  /** Each agent that is connected takes up what is desired and says what came of it. */
  async function agents(): Promise<void> {
    for (const { host, entry } of await entries()) {
      const { tenant: name, generation } = entry;
      const before = said.get(name);
      if (!t.fleet.connected.has(host) || before?.generation === generation) continue;
      const manner = manners.get(name) ?? 'good';
      // What served before is still there.
      const fresh = generation > (before?.generation ?? 0);
      if (fresh && manner === 'silent') continue;
      const fails = fresh && typeof manner === 'object' ? manner.fails : null;
      const next = report(name, {
        generation,
        live: fails === null ? generation : (before?.live ?? null),
        phase: fails === null ? 'baking' : 'failed',
        at: t.clock.now(),
        problem:
          fails === null
            ? null
            : {
                code: fails,
                message: 'It went wrong.',
                step: 'probe',
                service: 'web',
                logTail: [],
                at: t.clock.now(),
                ...(fails === 'release_outcome_unknown' ? { releaseKey: 'key-1' } : {}),
              },
      });
      said.set(name, next);
      await t.store.fleet.ingest([
        { host, at: t.clock.now(), tenants: [next], events: [], traffic: [], report: null },
      ]);
    }
  }

  await release();
  for (let index = 0; index < tenants; index += 1)
    await tenant(String.fromCharCode(97 + index), { host: hosts[index % 2] });
  await release();

  return {
    t,
    hosts,
    manners,
    release,
    tenant,
    async desired(name) {
      const found = (await entries()).find(({ entry }) => entry.tenant === name);
      if (found === undefined) throw new Error(`nothing is desired of ${name}`);
      return found.entry;
    },
    async start(to, waves, policy = {}, whenBusy = 'refuse') {
      const parsed = parseWaves(waves);
      if (!parsed.ok) throw new Error(parsed.error);
      return await t.services.rollouts.start(BY, {
        app: 'shop',
        to,
        policy: RolloutPolicy.parse({ waves: parsed.waves, bakeMs: 5_000, ...policy }),
        whenBusy,
      });
    },
    async rounds(count) {
      for (let round = 0; round < count; round += 1) {
        await t.turn();
        await agents();
        t.clock.time += 1_000;
      }
      await t.turn();
    },
    async online(host) {
      t.fleet.connected.add(host);
      await t.store.fleet.noteConnections([{ kind: 'online', host, hello: hello(host), at: t.clock.now() }]);
    },
    async offline(host) {
      t.fleet.connected.delete(host);
      await t.store.fleet.noteConnections([{ kind: 'offline', host, at: t.clock.now() }]);
    },
    async progress(rollout) {
      const page = await t.services.rollouts.tenants(rollout, {}, { limit: 1000 });
      return Object.fromEntries(
        page.items.map(({ tenant: name, progress }) => [
          name,
          progress.kind === 'skipped' ? `skipped: ${progress.reason}` : progress.kind,
        ]),
      );
    },
    close: () => t.close(),
  };
}
