import { expect, test } from 'vitest';
import type { Site } from '@berth/shared/domain/network';
import type { Step } from '@berth/shared/domain/step';
import { createHostLane } from '../../src/loop/host-lane.ts';

const site = (tenant: string): Site => ({
  tenant,
  service: 'web',
  hosts: [`${tenant}.example.com`],
  path: '/',
  virtual: '198.18.0.1',
});
const apply = (...tenants: string[]): Step[] => [{ kind: 'ingress.apply', sites: tenants.map(site) }];

function lane() {
  const time = { now: 1_000 };
  const ran: Step[] = [];
  const quiet = () => undefined;
  const host = createHostLane({
    clock: { now: () => time.now },
    execute: (step) => {
      ran.push(step);
      return Promise.resolve({ kind: 'ok' });
    },
    failpoint: quiet,
    log: { info: quiet, warn: quiet, error: quiet },
    voice: {
      happened: quiet,
      stepped: quiet,
      host: quiet,
      docker: quiet,
      dockerState: () => 'up',
      orphans: quiet,
      noticed: quiet,
      nginx: quiet,
    },
    generationOf: () => 1,
    ended: quiet,
  });
  return { host, ran, time, signal: new AbortController().signal };
}

test('sites that come one after the other become one reload, once it is quiet', async () => {
  const { host, ran, time, signal } = lane();
  const before = [site('first')];
  host.start(apply('first', 'a'), before, signal);
  time.now += 150;
  host.start(apply('first', 'a', 'b'), before, signal);
  time.now += 150;
  host.start(apply('first', 'a', 'b'), before, signal);
  expect(ran).toEqual([]);
  expect(host.retryAt()).toBe(1_350);
  time.now = 1_350;
  host.start(apply('first', 'a', 'b'), before, signal);
  await host.idle();
  expect(ran).toEqual(apply('first', 'a', 'b'));
  expect(host.retryAt()).toBeNull();
});

test('a stream of changes does not hold the first of them back for ever', async () => {
  const { host, ran, time, signal } = lane();
  const names = ['first'];
  while (ran.length === 0 && time.now < 10_000) {
    names.push(`t${names.length}`);
    host.start(apply(...names), [site('first')], signal);
    if (ran.length === 0) time.now += 100;
  }
  await host.idle();
  expect(time.now).toBe(2_000);
});

test('an Nginx that is down, and the first site, wait for nothing', async () => {
  for (const before of [null, []]) {
    const { host, ran, signal } = lane();
    host.start(apply('a'), before, signal);
    await host.idle();
    expect(ran).toHaveLength(1);
  }
});
