import { afterEach, beforeEach, expect, test } from 'vitest';
import { AwsRule } from '@berth/shared/api/enrolment';
import { createEnrolAlerts, type Refusal } from '../../src/services/enrol-alerts.ts';
import { testServices, type TestServices } from '../support/coordinator.ts';
import { BY } from '../support/samples.ts';

let t: TestServices;
beforeEach(async () => {
  t = await testServices();
});
afterEach(async () => {
  await t.close();
});

const refusal = (number: number, more: Partial<Refusal> = {}): Refusal => ({
  kind: 'host.clone_refused',
  instance: `i-${number}`,
  other: 'i-b',
  host: null,
  message: 'no',
  ...more,
});
const told = async (): Promise<number> =>
  (await t.store.events({ kind: 'host.clone_refused' }, 0, 1000)).length;

test('the same two are told of once in ten minutes', async () => {
  const alerts = createEnrolAlerts(t.store, t.clock);
  await alerts.raise(refusal(1));
  await alerts.raise(refusal(1));
  expect(await told()).toBe(1);
  await alerts.raise(refusal(1, { other: 'i-c' }));
  expect(await told()).toBe(2);
  t.clock.time += 10 * 60_000;
  await alerts.raise(refusal(1));
  expect(await told()).toBe(3);
});

test('a flood fills neither the journal nor the place of what was proven', async () => {
  const alerts = createEnrolAlerts(t.store, t.clock);
  for (let n = 0; n < 500; n += 1) await alerts.raise(refusal(n, { weight: 'claimed' }));
  expect(await told()).toBe(10);
  for (let n = 0; n < 500; n += 1) await alerts.raise(refusal(n + 1000));
  expect(await told()).toBe(70);
  t.clock.time += 10 * 60_000;
  await alerts.raise(refusal(2000));
  expect(await told()).toBe(71);
});

test('who may join is said by one audited act, and by none where nothing changes', async () => {
  const rule = AwsRule.parse({ account: '123456789012', regions: ['eu-central-1'], roles: ['berth-host'] });
  const set = (aws: AwsRule | null) => t.services.poolJoins.set(BY, 'prod', { aws });
  expect(await set(rule)).toEqual({ pool: 'prod', aws: rule, result: 'changed' });
  expect(await set(AwsRule.parse({ ...rule }))).toMatchObject({ result: 'unchanged' });
  expect(await t.services.pools.show('prod')).toMatchObject({ hosts: 0, join: { aws: rule } });
  expect(await set(null)).toMatchObject({ result: 'changed' });
  const rows = await t.store.audit(undefined, 10);
  expect(rows.map(({ action, subject, before, after }) => [action, subject, before, after])).toEqual([
    ['pool.join-changed', 'prod', { aws: rule }, { aws: null }],
    ['pool.join-changed', 'prod', { aws: null }, { aws: rule }],
  ]);
  await expect(t.services.pools.show('prod')).rejects.toMatchObject({ code: 'not_found' });
});

test('a coordinator that enrols no instances says so', () => {
  expect(() => t.services.hosts.challenge()).toThrow(/does not enrol instances of AWS/);
});
