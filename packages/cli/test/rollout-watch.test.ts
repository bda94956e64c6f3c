import { createClient } from '@berth/shared/api/client';
import type { Rollout } from '@berth/shared/api/rollouts';
import { BerthError } from '@berth/shared/domain/errors';
import { isOver } from '@berth/shared/domain/rollout';
import { afterEach, expect, test } from 'vitest';
import { followEvents } from '../src/follow.ts';
import { watchRollout, type RolloutNews } from '../src/rollout-watch.ts';
import { fakeApi, type Answers } from './support/fake-api.ts';
import { completed, rolloutEvent, rolloutShown } from './support/rollouts.ts';

let fake: Awaited<ReturnType<typeof fakeApi>>;
afterEach(async () => {
  await fake.close();
});

const moved = (tenant: string) =>
  rolloutEvent('rollout.tenant', { wave: 1, progress: { kind: 'moved', generation: 2, at: 1 } }, tenant);

/** Watches a rollout that stands as `shown.now` says, and keeps what it was told. */
async function watching(answers: Answers = {}, patienceMs = 60_000) {
  const shown: { now: Rollout } = { now: rolloutShown() };
  fake = await fakeApi({ showRollout: () => shown.now, ...answers });
  const told: RolloutNews[] = [];
  const stop = new AbortController();
  const done = (async () => {
    for await (const news of watchRollout({
      api: createClient({ url: fake.url, token: 't' }),
      rollout: shown.now,
      until: (rollout) => isOver(rollout.state),
      signal: stop.signal,
      clock: { now: () => performance.now() },
      patienceMs,
    }))
      told.push(news);
  })();
  const events = (): number[] => told.flatMap((news) => (news.kind === 'event' ? [news.event.id] : []));
  return { shown, told, events, done, stop };
}

test('events of this rollout are told in order and once, and those of others are not', async () => {
  const watch = await watching();
  await expect.poll(() => fake.askedAfter).toEqual([5]);
  fake.emit({ ...moved('other'), details: { rollout: 8 } });
  fake.emit(rolloutEvent('tenant.step', { step: 'image.ensure', state: 'done', ms: 1 }, 'a'));
  const mine = [moved('a'), moved('b')];
  mine.forEach(fake.emit);
  await expect.poll(watch.events).toEqual(mine.map((event) => event.id));
  watch.shown.now = completed();
  const end = rolloutEvent('rollout.state', { state: { kind: 'completed' } });
  fake.emit(end);
  await watch.done;
  expect(watch.events()).toEqual([...mine, end].map((event) => event.id));
  expect(watch.told.at(-1)).toEqual({ kind: 'rollout', rollout: completed() });
});

test('a connection that drops is taken up again, with nothing lost and nothing told twice', async () => {
  const watch = await watching();
  const all = ['a', 'b', 'c', 'd'].map(moved);
  const [a, b, c, d] = all;
  if (a === undefined || b === undefined || c === undefined || d === undefined)
    throw new Error('four events');
  await expect.poll(() => fake.askedAfter.length).toBe(1);
  fake.emit(a);
  await expect.poll(watch.events).toEqual([a.id]);
  fake.cut();
  fake.emitUnseen(b);
  await expect.poll(() => fake.askedAfter.length).toBe(2);
  expect(fake.askedAfter[1]).toBe(a.id);
  await expect.poll(watch.events).toEqual([a.id, b.id]);
  fake.cut();
  fake.emitUnseen(c);
  fake.emitUnseen(d);
  watch.shown.now = completed();
  await watch.done;
  expect(watch.events()).toEqual(all.map((event) => event.id));
});

test('what the stream had not brought yet when it was over is told before the end', async () => {
  const watch = await watching();
  await expect.poll(() => fake.askedAfter.length).toBe(1);
  const late = [moved('a'), rolloutEvent('rollout.state', { state: { kind: 'completed' } })];
  late.forEach(fake.emitUnseen);
  watch.shown.now = completed();
  await watch.done;
  expect(watch.events()).toEqual(late.map((event) => event.id));
  expect(watch.told.at(-1)?.kind).toBe('rollout');
});

test('a coordinator that is away for a moment does not end the watch, one that stays away does', async () => {
  let away = 0;
  const watch = await watching(
    {
      showRollout: () => {
        away += 1;
        fake.emit(moved('a'));
        if (away < 3) throw new BerthError('unavailable', 'Not now.');
        return completed();
      },
    },
    60_000,
  );
  await watch.done;
  expect(watch.events()).toHaveLength(3);
  expect(away).toBe(3);
  await fake.close();
  const gone = await watching(
    {
      showRollout: () => {
        fake.emit(moved('a'));
        throw new BerthError('unavailable', 'Never.');
      },
    },
    100,
  );
  await expect(gone.done).rejects.toThrow('Never.');
});

test('a rollout that was over long ago is told whole, and no more is read than that takes', async () => {
  const pages: number[] = [];
  const over = completed({ endedAt: 1_000_000 });
  const event = { ...moved('a'), at: 1_000_000 };
  fake = await fakeApi({
    showRollout: () => over,
    listEvents: ({ query }) => {
      pages.push(Number(query['after']));
      const last = Number(query['after']) + 1000;
      const other = rolloutEvent('tenant.step', {}, 'b');
      const items = [...(pages.length === 1 ? [event] : []), { ...other, id: last, at: 2_000_000 }];
      return { items, last: 1_000_000 };
    },
  });
  const told: RolloutNews[] = [];
  for await (const news of watchRollout({
    api: createClient({ url: fake.url, token: 't' }),
    rollout: over,
    until: () => true,
    signal: new AbortController().signal,
    clock: { now: () => performance.now() },
  }))
    told.push(news);
  expect(told.filter((news) => news.kind === 'event')).toEqual([{ kind: 'event', event }]);
  expect(pages).toEqual([5]);
});

test('a coordinator that does not answer is told of once, and so is that it is back', async () => {
  let asked = 0;
  const watch = await watching({
    showRollout: () => {
      asked += 1;
      if (asked <= 2) throw new BerthError('unavailable', 'It is starting.');
      return asked < 4 ? rolloutShown() : completed();
    },
  });
  // Each event has it look again soon.
  const nudge = setInterval(() => fake.emit(moved('a')), 100);
  try {
    await watch.done;
  } finally {
    clearInterval(nudge);
  }
  const kinds = watch.told.map((news) => news.kind).filter((kind) => kind !== 'event');
  expect(kinds).toEqual(['rollout', 'away', 'back', 'rollout', 'rollout']);
});

test('a refusal ends the watch at once, and a signal ends it without a word', async () => {
  const refused = await watching({
    showRollout: () => {
      throw new BerthError('forbidden', 'A viewer cannot do this.');
    },
  });
  fake.emit(moved('a'));
  await expect(refused.done).rejects.toThrow('A viewer cannot do this.');
  await fake.close();
  const watch = await watching();
  await expect.poll(() => fake.askedAfter.length).toBe(1);
  watch.stop.abort();
  await watch.done;
  expect(watch.told).toHaveLength(1);
});

test('a stream that was silent for longer than the patience and then breaks off is taken up again', async () => {
  fake = await fakeApi({});
  let now = 0;
  const stop = new AbortController();
  const seen: number[] = [];
  const done = (async () => {
    const api = createClient({ url: fake.url, token: 't' });
    for await (const event of followEvents(api, { after: 0 }, stop.signal, { now: () => now }, 1000)) {
      seen.push(event.id);
      stop.abort();
    }
  })();
  await expect.poll(() => fake.askedAfter.length).toBe(1);
  now = 1_000_000;
  fake.cut();
  const event = moved('a');
  fake.emitUnseen(event);
  await done;
  expect(seen).toEqual([event.id]);
});
