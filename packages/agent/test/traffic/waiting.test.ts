import { expect, test } from 'vitest';
import { createWaiting } from '../../src/traffic/waiting.ts';

const forever = new AbortController().signal;

test('whoever waits is served with the first look at or after his time', async () => {
  const waiting = createWaiting();
  expect(waiting.dueIn(0)).toBe(Number.POSITIVE_INFINITY);
  const served: string[] = [];
  const early = waiting.until(100, forever).then(() => served.push('early'));
  const late = waiting.until(200, forever).then(() => served.push('late'));
  expect(waiting.dueIn(40)).toBe(60);
  waiting.served(99);
  waiting.served(100);
  await early;
  expect(served).toEqual(['early']);
  expect(waiting.dueIn(100)).toBe(100);
  waiting.served(250);
  await late;
  expect(waiting.dueIn(250)).toBe(Number.POSITIVE_INFINITY);
});

test('whoever is due is told why nothing could be read, and nobody is kept who has given up', async () => {
  const waiting = createWaiting();
  const due = waiting.until(100, forever);
  const later = waiting.until(200, forever);
  waiting.failed(150, 'the folder is gone');
  await expect(due).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('is gone'),
  });
  waiting.served(200);
  await later;
  const stop = new AbortController();
  const given = waiting.until(300, stop.signal);
  stop.abort();
  await expect(given).rejects.toMatchObject({ code: 'timeout' });
  expect(waiting.dueIn(0)).toBe(Number.POSITIVE_INFINITY);
  await expect(waiting.until(300, stop.signal)).rejects.toMatchObject({ code: 'timeout' });
});
