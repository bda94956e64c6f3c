import { expect, test } from 'vitest';
import { createRepair } from '../../src/observe/repair.ts';
import { createSystem } from '../../src/system/system.ts';

function setUp(restoreBase: () => Promise<'whole' | 'restored'>) {
  const system = createSystem({
    agent: 'a1',
    stateDir: '/nowhere',
    dockerSocket: '/nowhere/docker.sock',
    virtualCidr: '198.18.0.0/16',
    tenantCidr: '198.19.0.0/16',
    tenantPrefix: 26,
    bridgePrefix: 'bt-',
    nginx: { binary: 'nginx', listenAddress: '127.0.0.1', httpPort: 80, internalPort: 81, start: 'agent' },
    reserve: { memoryBytes: 0, diskBytes: 0 },
  });
  const stop = new AbortController();
  const heard: string[] = [];
  const waiting: (() => void)[] = [];
  const sleep = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
  const repair = createRepair({ system, sleep, restoreBase }, (why) => heard.push(why), stop.signal);
  /** Lets all pending sleeps pass, again and again, until nobody sleeps. */
  const settle = async (): Promise<void> => {
    for (let quiet = 0; quiet < 3;) {
      const next = waiting.shift();
      if (next === undefined) quiet += 1;
      else next();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { repair, heard, stop, settle };
}

test('many lines of one loss lead to one repair', async () => {
  let repairs = 0;
  const { repair, heard, settle } = setUp(async () => {
    repairs += 1;
    await Promise.resolve();
    return 'restored';
  });
  for (let line = 0; line < 20; line += 1) repair();
  await settle();
  expect(repairs).toBe(1);
  expect(heard).toEqual(['nft rules changed']);
});

test('a loss during a repair leads to one more look', async () => {
  let repairs = 0;
  const parts = setUp(async () => {
    repairs += 1;
    if (repairs === 1) for (let line = 0; line < 5; line += 1) parts.repair();
    await Promise.resolve();
    return 'restored';
  });
  parts.repair();
  await parts.settle();
  expect(repairs).toBe(2);
});

test('a repair that fails is tried again until it succeeds, and ends with the agent', async () => {
  let tries = 0;
  const { repair, heard, settle } = setUp(async () => {
    tries += 1;
    await Promise.resolve();
    if (tries < 3) throw new Error('disk full');
    return 'restored';
  });
  repair();
  await settle();
  expect(tries).toBe(3);
  expect(heard.at(-1)).toBe('nft rules changed');
});

test('what is found as it should be is told to nobody', async () => {
  let looks = 0;
  const { repair, heard, settle } = setUp(async () => {
    looks += 1;
    await Promise.resolve();
    return 'whole';
  });
  repair();
  await settle();
  expect(looks).toBe(1);
  expect(heard).toEqual([]);
});
