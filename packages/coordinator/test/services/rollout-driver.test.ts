import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Decision } from '../../src/rollout/types.ts';
import { chunksOf, summaryOf } from '../../src/services/rollout-chunks.ts';
import { previousRelease } from '@berth/shared/api/previous-release';
import { noTraffic } from '@berth/shared/domain/traffic';
import { rolloutWorld, type World } from '../support/rollout-world.ts';
import { BY, report } from '../support/samples.ts';

describe('the driver', () => {
  let w: World;
  beforeEach(async () => {
    w = await rolloutWorld();
  });
  afterEach(async () => {
    expect(w.t.problems).toEqual([]);
    await w.close();
  });

  /** A word of the agent of `a`, with an event and traffic beside it. */
  async function says(generation: number, traffic = noTraffic(), kind = 'tenant.live'): Promise<void> {
    const at = w.t.clock.now();
    await w.t.store.fleet.ingest([
      {
        host: w.hosts[0] ?? '',
        at,
        tenants: [report('a', { generation, live: generation, phase: 'baking', at })],
        events: [
          {
            id: `${kind} ${generation} ${at}`,
            at,
            tenant: 'a',
            generation,
            kind,
            message: 'So it is.',
            details: {},
          },
        ],
        traffic: [{ tenant: 'a', generation, slot: 600_000, run: 1, traffic }],
        report: null,
      },
    ]);
  }
  const served = (requests: number, errors: number) => ({
    ...noTraffic(),
    requests,
    errors,
    latency: noTraffic().latency.map((_, index) => (index === 3 ? requests : 0)),
  });

  test('looks at a tenant as soon as an event tells of it', async () => {
    w.manners.set('a', 'silent');
    await w.start(2, '@a');
    await w.t.turn();
    expect(await w.progress(1)).toEqual({ a: 'moving' });
    await says(2);
    // The clock stands still, so nothing but the event can be the reason.
    await vi.waitFor(async () => {
      await w.t.turn();
      expect(await w.progress(1)).toEqual({ a: 'live' });
    });
  });

  test('takes a tenant back whose requests fare worse than its own past, and halts', async () => {
    w.manners.set('a', 'silent');
    await says(1, served(1000, 2), 'tenant.settled');
    await w.start(2, '@a,100%', { bakeMs: 60_000 });
    await w.t.turn();
    await says(2, served(200, 90));
    await w.rounds(7);
    const { state, waves } = await w.t.services.rollouts.show(1);
    expect(state).toMatchObject({ kind: 'paused', by: 'failure' });
    expect(waves[0]?.state).toMatchObject({ kind: 'failed' });
    expect(await w.desired('a')).toMatchObject({ release: 1, generation: 1 });
    const { items } = await w.t.services.rollouts.tenants(1, { wave: 1 }, { limit: 5 });
    expect(items[0]?.progress).toMatchObject({ kind: expect.stringMatching(/^return/), cause: 'failure' });
  });

  test('of a coordinator that has just started waits for the agents, but not for ever', async () => {
    await w.start(2, '@a,100%');
    await w.rounds(2);
    expect(await w.progress(1)).toMatchObject({ a: 'live', b: 'pending' });
    for (const host of w.hosts) await w.offline(host);
    w.t.clock.time += 60_000;
    await w.t.restartDriver();
    await w.rounds(10);
    // Long enough to bake; nobody has been asked yet how it went.
    expect(await w.progress(1)).toMatchObject({ a: 'live', b: 'pending' });
    await w.online(w.hosts[0] ?? '');
    await w.rounds(3);
    expect(await w.progress(1)).toMatchObject({ a: 'moved', c: 'live' });
    await w.rounds(40);
    expect(await w.progress(1)).toMatchObject({ a: 'moved', b: 'skipped: offline', c: 'moved' });
  });

  test('fails whom its host has no room for', async () => {
    const to = await w.release((text) => text.replace('memory: 256M', 'memory: 7G'));
    await w.start(to, '@a');
    await w.rounds(2);
    const { items } = await w.t.services.rollouts.tenants(1, {}, { limit: 5 });
    expect(items[0]?.progress).toMatchObject({ kind: 'failed', problem: { code: 'no_capacity' } });
    expect(await w.desired('a')).toMatchObject({ release: 1 });
  });

  test('leaves a rollout alone that somebody else has changed meanwhile, and reads it anew', async () => {
    await w.start(2, '1,100%');
    await w.t.turn();
    await w.t.services.rollouts.act(BY, 1, 'pause', {});
    await w.rounds(5);
    expect((await w.t.services.rollouts.show(1)).state).toMatchObject({ kind: 'paused' });
  });
});

describe('decisions in chunks', () => {
  const begin = (tenant: string): Decision => ({ kind: 'begin', tenant });
  test('keep their order, and never part what belongs to one tenant', () => {
    const decisions: Decision[] = [
      begin('a'),
      { kind: 'progress', tenant: 'b', progress: { kind: 'pending' } },
      { kind: 'restore', tenant: 'b' },
      begin('c'),
      { kind: 'advance', wave: 1 },
    ];
    const chunks = [...chunksOf(decisions, 2)];
    expect(chunks.map((chunk) => chunk.length)).toEqual([3, 2]);
    expect(chunks.flat()).toEqual(decisions);
    expect([...chunksOf([])]).toEqual([]);
    expect(summaryOf(decisions)).toEqual({
      tenants: { begin: ['a', 'c'], pending: ['b'], restore: ['b'] },
      decisions: [{ kind: 'advance', wave: 1 }],
    });
  });
});

describe('the release before', () => {
  const past = (...entries: ['created' | 'moved' | 'failed' | 'rolled-back', number][]) =>
    entries
      .map(([what, release], index) => ({
        at: index,
        by: 'x',
        what,
        release,
        generation: index + 1,
        rollout: null,
        ms: null,
        message: '',
      }))
      .reverse();
  test('is the one that served before, never one that was gone back from or that failed', () => {
    expect(previousRelease(past(['created', 1]), 1)).toBeNull();
    expect(previousRelease(past(['created', 1], ['moved', 2]), 2)).toBe(1);
    expect(previousRelease(past(['created', 1], ['moved', 2], ['rolled-back', 1]), 1)).toBeNull();
    expect(previousRelease(past(['created', 1], ['moved', 2], ['moved', 3], ['rolled-back', 2]), 2)).toBe(1);
    expect(previousRelease(past(['created', 1], ['failed', 2], ['moved', 3]), 3)).toBe(1);
    expect(previousRelease([], 4)).toBeNull();
  });
});
