import { expect, test } from 'vitest';
import { Report } from '@berth/shared/protocol/messages';
import { noTraffic, type TrafficSample } from '@berth/shared/domain/traffic';
import { createOutbox } from '../../src/report/outbox.ts';

const sample = (tenant: string, requests = 1): TrafficSample => ({
  tenant,
  generation: 1,
  slot: 0,
  run: 1,
  traffic: { ...noTraffic(), requests },
});
const forever = new AbortController().signal;

/** What has become of a promise by now. */
async function stateOf(promise: Promise<void>): Promise<string> {
  const pending = Symbol('pending');
  const now = new Promise((resolve) => setImmediate(() => resolve(pending)));
  return await Promise.race([promise, now]).then(
    (value) => (value === pending ? 'pending' : 'delivered'),
    (thrown: unknown) => (thrown instanceof Error ? thrown.message : 'thrown'),
  );
}

test('counts are delivered when the message with the last of them is acknowledged, and sent at once for it', async () => {
  const outbox = createOutbox({ window: 1 });
  const sent: number[] = [];
  const flush = (): void => {
    for (let next = outbox.next(); next !== null; next = outbox.next()) sent.push(next.seq);
  };
  outbox.onWaiting(flush);
  for (let index = 0; index < 700; index += 1) outbox.traffic(sample(`t${index}`));
  expect(sent).toEqual([]);
  const delivered = outbox.delivered(forever);
  expect(sent).toEqual([1]);
  expect(await stateOf(delivered)).toBe('pending');
  outbox.acknowledge(1);
  flush();
  expect([sent, await stateOf(delivered)]).toEqual([[1, 2], 'pending']);
  // What comes later is not waited for.
  outbox.traffic(sample('later'));
  outbox.acknowledge(2);
  expect(await stateOf(delivered)).toBe('delivered');
});

test('what is under way already is waited for, and nothing at all is delivered at once', async () => {
  const outbox = createOutbox();
  expect(await stateOf(outbox.delivered(forever))).toBe('delivered');
  outbox.traffic(sample('acme'));
  expect(Report.parse(JSON.parse(outbox.next()?.text ?? '')).traffic).toHaveLength(1);
  const delivered = outbox.delivered(forever);
  expect(await stateOf(delivered)).toBe('pending');
  outbox.acknowledge(1);
  expect(await stateOf(delivered)).toBe('delivered');
});

test('whoever waits is told when the connection is lost, or when he gives up', async () => {
  const outbox = createOutbox();
  outbox.traffic(sample('acme'));
  outbox.next();
  const lost = outbox.delivered(forever);
  const stop = new AbortController();
  const given = outbox.delivered(stop.signal);
  stop.abort();
  expect(await stateOf(given)).toContain('Nobody waits');
  outbox.restart();
  expect(await stateOf(lost)).toContain('was lost');
});
