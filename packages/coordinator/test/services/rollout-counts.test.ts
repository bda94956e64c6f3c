import { describe, expect, test } from 'vitest';
import { BerthError } from '@berth/shared/domain/errors';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { LATENCY_BOUNDS_MS, TRAFFIC_SLOT_MS, type Traffic } from '@berth/shared/domain/traffic';
import type { Answer } from '@berth/shared/protocol/messages';
import { gatherCounts } from '../../src/services/rollout-counts.ts';
import { createFactBook } from '../../src/services/rollout-facts.ts';
import type { Open } from '../../src/services/rollout-open.ts';
import type { TenantFactRecord } from '../../src/services/rollout-store.ts';

const UNTIL = TRAFFIC_SLOT_MS * 10 + 5_000;
const SINCE = UNTIL - 5_000;

const traffic = (requests: number): Traffic => ({
  requests,
  errors: 0,
  latency: [requests, ...LATENCY_BOUNDS_MS.map(() => 0)],
});

/** Tenants that serve generation 2, one on each of these hosts; `past: 'none'`: never asked for anything before. */
function world(given: { hosts: string[]; offline?: string[]; elsewhere?: string[]; past?: 'some' | 'none' }) {
  const tenants = given.hosts.map((_host, index) => `t${index}`);
  const book = createFactBook(tenants);
  const records = given.hosts.map((host, index): TenantFactRecord => ({
    tenant: `t${index}`,
    app: 'shop',
    host,
    hostName: `${host}-name`,
    connection: given.offline?.includes(host) === true ? 'offline' : 'online',
    release: 13,
    generation: 2,
    state: 'running',
    pinned: null,
    window: null,
    tags: [],
    reported: null,
  }));
  book.put(tenants, records);
  const open: Pick<Open, 'rollout' | 'book' | 'trafficAt' | 'gathering'> = {
    rollout: {
      rollout: 5,
      app: 'shop',
      to: 13,
      policy: RolloutPolicy.parse({ waves: [{ target: { kind: 'share', percent: 100 } }], bakeMs: 5_000 }),
      state: { kind: 'running' },
      wave: 0,
      waves: [{ kind: 'baking', since: SINCE, until: UNTIL }],
      forgiven: 0,
      reversal: 'free',
      tenants: tenants.map((tenant, position) => ({
        tenant,
        wave: 0,
        position,
        fromRelease: 12,
        fromGeneration: 1,
        progress: { kind: 'live', generation: 2, since: SINCE },
        before: given.past === 'none' ? null : traffic(100),
      })),
    },
    book,
    // It was read a moment ago, so nobody would look again for a while.
    trafficAt: UNTIL - 1,
    gathering: null,
  };
  let onRecord = 12;
  let woken = 0;
  const asked: { host: string; answer(how: Answer | BerthError): Promise<void> }[] = [];
  const unreached = new Set([...(given.offline ?? []), ...(given.elsewhere ?? [])]);
  const look = (now: number): Promise<void> =>
    gatherCounts(
      {
        store: {
          traffic: (names) =>
            Promise.resolve(
              names.map((tenant) => ({ tenant, generation: 2, slot: SINCE, traffic: traffic(onRecord) })),
            ),
        },
        fleet: {
          online: (host) => !unreached.has(host),
          ask: (host) =>
            new Promise((resolve, reject) => {
              asked.push({
                host,
                async answer(how) {
                  if (how instanceof BerthError) reject(how);
                  else resolve(how);
                  await new Promise(setImmediate);
                },
              });
            }),
        },
        wake: () => (woken += 1),
      },
      open,
      now,
    );
  return {
    look,
    asked,
    counted: () => book.counted(0, UNTIL),
    after: () => tenants.map((tenant) => book.tenant(tenant)?.after?.requests ?? null),
    arrive: (requests: number) => (onRecord = requests),
    woken: () => woken,
  };
}

describe('the last counts of a wave', () => {
  test('are asked for when its time to bake has passed, once, and read when the answer has come', async () => {
    const { look, asked, counted, after, arrive, woken } = world({ hosts: ['h1', 'h1', 'h2'] });
    await look(UNTIL - 1);
    expect(asked).toEqual([]);
    await look(UNTIL);
    await look(UNTIL + 1_000);
    expect(asked.map((each) => each.host)).toEqual(['h1', 'h2']);
    expect(counted()).toEqual({ kind: 'awaited' });
    arrive(45);
    await asked[0]?.answer({ kind: 'traffic' });
    await look(UNTIL + 1_100);
    expect([counted(), woken()]).toEqual([{ kind: 'awaited' }, 0]);
    await asked[1]?.answer({ kind: 'traffic' });
    expect(woken()).toBe(1);
    await look(UNTIL + 1_200);
    expect(counted()).toEqual({ kind: 'complete' });
    expect(after()).toEqual([45, 45, 45]);
    await look(UNTIL + 1_300);
    expect(asked).toHaveLength(2);
  });

  test('are missing where a host is offline, cannot count, or does not answer in time; what came is read', async () => {
    const { look, asked, counted, after } = world({ hosts: ['h1', 'h2', 'h3'], offline: ['h3'] });
    await look(UNTIL);
    await asked[0]?.answer({
      kind: 'error',
      code: 'unavailable',
      message: 'This host does not count requests.',
    });
    await asked[1]?.answer(new BerthError('timeout', 'Host h2 did not answer within 6000 ms.'));
    await look(UNTIL + 6_000);
    expect(counted()).toEqual({
      kind: 'missing',
      why: 'the last counts of hosts h1-name, h2-name, h3-name did not come: This host does not count requests.',
    });
    expect(after()).toEqual([12, 12, 12]);
  });

  test('come by themselves from hosts of another coordinator', async () => {
    const { look, asked, counted, after, arrive } = world({ hosts: ['h1'], elsewhere: ['h1'] });
    await look(UNTIL);
    await look(UNTIL + 4_900);
    expect([asked, counted()]).toEqual([[], { kind: 'awaited' }]);
    arrive(45);
    await look(UNTIL + 5_000);
    expect([counted(), after()]).toEqual([{ kind: 'complete' }, [45]]);
  });

  test('come by themselves from agents that are older than the question', async () => {
    const { look, asked, counted } = world({ hosts: ['h1'] });
    await look(UNTIL);
    await asked[0]?.answer(
      new BerthError('unavailable', 'The agent of host h1 is older than this question.'),
    );
    await look(UNTIL + 100);
    expect(counted()).toEqual({ kind: 'awaited' });
    await look(UNTIL + 5_000);
    expect(counted()).toEqual({ kind: 'complete' });
  });

  test('are asked for also where there is no past to compare them with, so that their number is true', async () => {
    const { look, asked, counted, after, arrive } = world({ hosts: ['h1'], past: 'none' });
    await look(UNTIL);
    expect([asked.map((each) => each.host), counted()]).toEqual([['h1'], { kind: 'awaited' }]);
    arrive(45);
    await asked[0]?.answer({ kind: 'traffic' });
    await look(UNTIL + 100);
    expect([counted(), after()]).toEqual([{ kind: 'complete' }, [45]]);
  });
});
