import fc from 'fast-check';
import { expect } from 'vitest';
import { isOver, RolloutPolicy, RolloutState, type TenantProgress } from '@berth/shared/domain/rollout';
import { noTraffic, type Traffic } from '@berth/shared/domain/traffic';
import type { TenantHistoryEntry } from '@berth/shared/api/rollouts';
import type { RolloutRecord } from '../../src/services/rollout-store.ts';
import type { RolloutTenant } from '../../src/rollout/types.ts';
import { desired } from '../support/samples.ts';
import { addApp, addHost, addTenant, contractContext, write, type OpenEmpty } from './contract.ts';

type NewRollout = Omit<RolloutRecord, 'rollout'>;

function rollout(given: Partial<NewRollout> = {}): NewRollout {
  return {
    app: 'shop',
    to: 2,
    policy: RolloutPolicy.parse({ waves: [{ target: { kind: 'share', percent: 100 } }] }),
    state: { kind: 'running' },
    wave: 0,
    waves: [{ kind: 'pending' }],
    forgiven: 0,
    reversal: 'free',
    startedBy: 'ann',
    createdAt: 10,
    updatedAt: 10,
    endedAt: null,
    acts: [],
    afterEvent: 7,
    ...given,
  };
}

function member(tenant: string, given: Partial<RolloutTenant> = {}): RolloutTenant {
  return {
    tenant,
    wave: 0,
    position: 0,
    fromRelease: 1,
    fromGeneration: 1,
    progress: { kind: 'pending' },
    before: null,
    ...given,
  };
}

function traffic(requests: number): Traffic {
  return { ...noTraffic(), requests, latency: noTraffic().latency.with(3, requests) };
}

/** One of each kind, so that nothing of a state is lost on the way. */
const STATES: RolloutState[] = [
  { kind: 'queued' },
  { kind: 'running' },
  { kind: 'paused', by: 'failure', reason: 'two failed' },
  { kind: 'rolling-back', scope: 'wave', reason: 'worse' },
  { kind: 'waiting' },
  { kind: 'completed' },
  { kind: 'rolled-back', reason: 'worse' },
  { kind: 'aborted', reason: 'enough' },
];

/** What is kept of rollouts and their tenants. */
export function rolloutsContract(open: OpenEmpty): void {
  const { on } = contractContext(open);

  on('a rollout comes back as it was written, its tenants by wave and position', async (store) => {
    const record = rollout({ waves: [{ kind: 'moving', since: 11 }, { kind: 'pending' }] });
    const tenants = [
      member('late', { wave: 1, position: 0 }),
      member('second', { position: 1, progress: { kind: 'skipped', reason: 'offline' } }),
      member('first', { before: traffic(5), fromRelease: 3, fromGeneration: 9 }),
    ];
    const number = await write(store, (tx) => tx.insertRollout(record, tenants));
    expect(number).toBe(1);
    expect(await store.rollout(1)).toEqual({ rollout: 1, ...record });
    expect(await store.rolloutTenants(1)).toEqual([tenants[2], tenants[1], tenants[0]]);
    expect(await store.rollout(2)).toBeNull();
    expect(await store.rolloutTenants(2)).toEqual([]);
  });

  on('rollouts that begin at the same moment have numbers of their own without a gap', async (store) => {
    const numbers = await Promise.all(
      Array.from({ length: 4 }, () => write(store, (tx) => tx.insertRollout(rollout(), [member('acme')]))),
    );
    expect(numbers.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4]);
  });

  on('rollouts are listed newest first by app, those that are not over oldest first', async (store) => {
    expect(new Set(STATES.map(({ kind }) => kind)).size).toBe(RolloutState.options.length);
    for (const state of STATES) await write(store, (tx) => tx.insertRollout(rollout({ state }), []));
    const other = await write(store, (tx) => tx.insertRollout(rollout({ app: 'blog' }), []));
    const numbers = async (app: string | undefined, before: number | undefined, limit: number) =>
      (await store.rollouts({ app }, before, limit)).map((each) => each.rollout);
    expect(await numbers(undefined, undefined, 2)).toEqual([other, 8]);
    expect(await numbers('shop', undefined, 3)).toEqual([8, 7, 6]);
    expect(await numbers('shop', 6, 2)).toEqual([5, 4]);
    expect((await store.rollouts({ app: 'shop' }, undefined, 9)).map(({ state }) => state).reverse()).toEqual(
      STATES,
    );
    const unfinished = STATES.flatMap((state, n) => (isOver(state) ? [] : [n + 1]));
    expect((await store.openRollouts()).map((each) => each.rollout)).toEqual([...unfinished, other]);
  });

  on('what changes of a rollout is changed, and the rest is not', async (store) => {
    const first = rollout();
    const number = await write(store, (tx) => tx.insertRollout(first, []));
    const changed: Partial<RolloutRecord> = {
      state: { kind: 'completed' },
      wave: 1,
      waves: [{ kind: 'passed', at: 19, judged: 'good' }],
      forgiven: 2,
      updatedAt: 20,
      endedAt: 20,
      acts: [{ at: 20, by: 'bob', what: 'retried', wave: 1, why: 'fixed' }],
    };
    await write(store, (tx) =>
      tx.updateRollout({ ...first, ...changed, rollout: number, to: 99, startedBy: 'bob' }),
    );
    expect(await store.rollout(number)).toEqual({ ...first, ...changed, rollout: number });
    expect(await store.openRollouts()).toEqual([]);
  });

  on(
    'hundreds of tenants are brought forward at once, whatever their number, and no others',
    async (store) => {
      const all = Array.from({ length: 300 }, (_, n) => member(`t-${n}`, { position: n }));
      const number = await write(store, (tx) => tx.insertRollout(rollout(), all));
      const other = await write(store, (tx) => tx.insertRollout(rollout(), all));
      let now = 0;
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 0, max: 300 }), async (count) => {
          now += 1;
          const progress: TenantProgress = { kind: 'live', generation: 2, since: now };
          const moved = all.slice(0, count).map((each) => ({ ...each, progress, before: traffic(now) }));
          await write(store, (tx) => tx.updateRolloutTenants(number, moved));
          expect((await store.rolloutTenants(number)).slice(0, count)).toEqual(moved);
        }),
        { numRuns: 8 },
      );
      expect(await store.rolloutTenants(other)).toEqual(all);
    },
  );

  on('what was desired before is kept word for word, for each rollout of its own', async (store) => {
    const number = await write(store, (tx) =>
      tx.insertRollout(rollout(), [member('acme'), member('globex')]),
    );
    const other = await write(store, (tx) => tx.insertRollout(rollout(), [member('acme')]));
    expect(await store.desiredBefore(number, 'acme')).toBeNull();
    const entries = [desired('acme', { generation: 4 }), desired('globex'), desired('nobody')];
    await write(store, (tx) => tx.setDesiredBefore(number, entries));
    expect(await store.desiredBefore(number, 'acme')).toEqual(entries[0]);
    expect(await store.desiredBefore(number, 'globex')).toEqual(entries[1]);
    expect(await store.desiredBefore(number, 'nobody')).toBeNull();
    expect(await store.desiredBefore(other, 'acme')).toBeNull();
  });

  on('an app may be frozen, and has a current release of its own once one is set', async (store) => {
    await addApp(store);
    expect(await store.app('shop')).toMatchObject({ frozen: null, release: 1, current: 1 });
    await write(store, (tx) => tx.setFrozen('shop', 'christmas'));
    await write(store, (tx) => tx.setCurrent('shop', 5));
    expect(await store.app('shop')).toMatchObject({ frozen: 'christmas', release: 1, current: 5 });
    await write(store, (tx) => tx.setFrozen('shop', null));
    expect((await store.apps({ limit: 5 }))[0]).toMatchObject({ frozen: null, current: 5 });
  });

  on("a tenant's history is added to, newest first, and each end is told in its own entry", async (store) => {
    const entry = (given: Partial<TenantHistoryEntry>): TenantHistoryEntry => ({
      at: 1,
      by: 'ann',
      what: 'created',
      release: 1,
      generation: 1,
      rollout: null,
      ms: null,
      message: 'Created.',
      ...given,
    });
    const first = entry({});
    const moved = entry({ at: 2, what: 'moved', release: 2, generation: 2, rollout: 1 });
    await write(store, async (tx) => {
      await tx.putHistories([
        { tenant: 'acme', entry: first },
        { tenant: 'globex', entry: first },
      ]);
      await tx.putHistories([{ tenant: 'acme', entry: moved }]);
      await tx.endHistories([
        { tenant: 'acme', generation: 1, ms: 700, failed: null },
        { tenant: 'acme', generation: 2, ms: null, failed: 'It did not answer.' },
        { tenant: 'acme', generation: 9, ms: 1, failed: null },
      ]);
    });
    const failed = { ...moved, what: 'failed' as const, message: 'It did not answer.' };
    expect(await store.tenantHistory('acme', 10)).toEqual([failed, { ...first, ms: 700 }]);
    expect(await store.tenantHistory('acme', 1)).toEqual([failed]);
    // Back to the first generation, word for word, within the same millisecond: what came before stays as it was.
    const back = entry({ at: 2, what: 'returned', rollout: 1 });
    await write(store, (tx) => tx.putHistories([{ tenant: 'acme', entry: back }]));
    const before = [failed, { ...first, ms: 700 }];
    expect(await store.tenantHistory('acme', 10)).toEqual([back, ...before]);
    const end = (ms: number) =>
      write(store, (tx) => tx.endHistories([{ tenant: 'acme', generation: 1, ms, failed: null }]));
    await end(40);
    expect(await store.tenantHistory('acme', 10)).toEqual([{ ...back, ms: 40 }, ...before]);
    await end(50);
    expect(await store.tenantHistory('acme', 10)).toEqual([{ ...back, ms: 40 }, ...before]);
    expect(await store.tenantHistory('globex', 10)).toEqual([first]);
  });

  on('a rollout leaves its history when its tenants are gone', async (store) => {
    await addApp(store);
    const host = await addHost(store);
    const generation = await addTenant(store, 'acme');
    const number = await write(store, (tx) => tx.insertRollout(rollout(), [member('acme')]));
    await write(store, (tx) =>
      tx.putDesired(host, { kind: 'tombstone', entry: { tenant: 'acme', generation, state: 'proposed' } }),
    );
    await store.fleet.finishRemoval(host, 'acme', generation, 5);
    await write(store, (tx) => tx.deleteApp('shop'));
    expect(await store.rolloutTenants(number)).toEqual([member('acme')]);
  });
}
