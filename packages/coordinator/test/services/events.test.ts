import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createEventFeed, type EventFeed } from '../../src/services/events.ts';
import type { EventFilter } from '../../src/services/records.ts';
import { testServices, type TestServices } from '../support/coordinator.ts';
import { BY } from '../support/samples.ts';

let t: TestServices;
let stop: AbortController;
let feed: EventFeed;
beforeEach(async () => {
  t = await testServices();
  stop = new AbortController();
  feed = createEventFeed({ store: t.store, signal: stop.signal, pollMs: null, onError: () => {} });
});
afterEach(async () => {
  stop.abort();
  await t.close();
});

async function happen(count: number, tenant = 'acme'): Promise<void> {
  await t.store.mutate(BY, 1, async (tx) => {
    await tx.addEvents(
      Array.from({ length: count }, () => ({
        kind: 'tenant.changed' as const,
        at: 1,
        tenant,
        app: 'shop',
        host: null,
        generation: 1,
        message: 'changed',
        details: {},
      })),
    );
    return { result: null, audit: { action: 'test', subject: tenant, before: null, after: null } };
  });
}

async function take(after: number, count: number, filter: EventFilter = {}): Promise<number[]> {
  const ids: number[] = [];
  for await (const batch of feed.follow(after, filter, stop.signal)) {
    ids.push(...batch.map((event) => event.id));
    if (ids.length >= count) break;
  }
  return ids;
}
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe('the event feed', () => {
  test('gives what was before and what comes next, without a gap', async () => {
    await happen(3);
    const taken = take(1, 6);
    await happen(2);
    await happen(2);
    expect((await taken).slice(0, 6)).toEqual(range(2, 7));
  });

  test('wakes every follower, each with its own filter', async () => {
    const acme = take(0, 2, { tenant: 'acme' });
    const globex = take(0, 1, { tenant: 'globex' });
    await happen(1, 'acme');
    await happen(1, 'globex');
    await happen(1, 'acme');
    expect(await acme).toEqual([1, 3]);
    expect(await globex).toEqual([2]);
  });

  test('lets a follower that is thousands behind catch up, and misses nothing meanwhile', async () => {
    await happen(10);
    expect(await take(0, 10)).toEqual(range(1, 10));
    for (let n = 0; n < 6; n++) await happen(1000);
    const slow: number[] = [];
    for await (const batch of feed.follow(4, {}, stop.signal)) {
      slow.push(...batch.map((event) => event.id));
      if (slow.length === 500) await happen(1000);
      if (slow.length >= 7006) break;
    }
    expect(slow).toEqual(range(5, 7010));
  });

  test('reads what another coordinator wrote in between as soon as it hears of something later', async () => {
    let deaf = false;
    const store: typeof t.store = {
      ...t.store,
      onEvents: (listener) => t.store.onEvents((events) => deaf || listener(events)),
    };
    feed = createEventFeed({ store, signal: stop.signal, pollMs: null, onError: () => {} });
    const taken = take(0, 5);
    await happen(1);
    deaf = true;
    await happen(2);
    deaf = false;
    await happen(2);
    expect(await taken).toEqual(range(1, 5));
  });

  test('finds rare events far back by their filter', async () => {
    await happen(1500, 'globex');
    await happen(1, 'acme');
    await happen(1500, 'globex');
    await happen(1, 'acme');
    expect(await take(0, 2, { tenant: 'acme' })).toEqual([1501, 3002]);
  });

  test('ends when its follower leaves and when the coordinator stops', async () => {
    const leaving = new AbortController();
    const one = feed.follow(0, {}, leaving.signal).next();
    leaving.abort();
    expect(await one).toMatchObject({ done: true });
    const two = feed.follow(0, {}, new AbortController().signal).next();
    stop.abort();
    expect(await two).toMatchObject({ done: true });
  });
});
