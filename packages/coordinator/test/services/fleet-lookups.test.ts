import { expect, test } from 'vitest';
import type { HelloRecord } from '../../src/services/fleet-store.ts';
import { createLookups } from '../../src/services/fleet-lookups.ts';

const record = (host: string): HelloRecord => ({
  host,
  name: host,
  publicKey: 'k',
  revision: 0,
  pool: 'default',
  signers: null,
  digest: '0',
});

function storeOf(known: readonly string[]) {
  const reads: string[][] = [];
  return {
    reads,
    hostsForHello(hosts: readonly string[]) {
      reads.push([...hosts]);
      if (hosts.includes('broken')) return Promise.reject(new Error('the database is away'));
      return Promise.resolve(
        new Map(hosts.filter((host) => known.includes(host)).map((host) => [host, record(host)])),
      );
    },
  };
}

test('hosts that ask in one turn are one read, and each gets its own answer', async () => {
  const store = storeOf(['a', 'b']);
  const lookups = createLookups(store);
  const answers = await Promise.all(['a', 'b', 'x', 'a'].map((host) => lookups.find(host)));
  expect(answers).toEqual([record('a'), record('b'), null, record('a')]);
  expect(store.reads).toEqual([['a', 'b', 'x']]);
});

test('who asks while a read is under way is in the next one', async () => {
  const store = storeOf(['a', 'b']);
  const lookups = createLookups(store);
  const first = lookups.find('a');
  await new Promise((resolve) => setImmediate(resolve));
  expect([await first, await lookups.find('b')]).toEqual([record('a'), record('b')]);
  expect(store.reads).toEqual([['a'], ['b']]);
});

test('a read that fails fails for those of its turn only', async () => {
  const store = storeOf(['a']);
  const lookups = createLookups(store);
  const outcomes = await Promise.allSettled([lookups.find('a'), lookups.find('broken')]);
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected']);
  expect(await lookups.find('a')).toEqual(record('a'));
});
