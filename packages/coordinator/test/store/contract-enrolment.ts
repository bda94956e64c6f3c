import { expect } from 'vitest';
import { AwsRule } from '@berth/shared/api/enrolment';
import type { InstanceRecord } from '../../src/services/enrol-store.ts';
import { hostId } from '../support/samples.ts';
import { addHost, contractContext, write, type OpenEmpty } from './contract.ts';

const bound = (instance: string, host: string): InstanceRecord => ({
  instance,
  host,
  account: '123456789012',
  region: 'eu-central-1',
  role: 'berth-host',
  image: 'ami-0123456789abcdef0',
  enrolledAt: 5,
  reenrolUntil: null,
});
const RULE = AwsRule.parse({
  account: '123456789012',
  regions: ['eu-central-1'],
  roles: ['berth-host'],
  tags: { 'a"b': "c'd" },
});

/** Who may join, which instance a host is, and what was used once. */
export function enrolmentContract(open: OpenEmpty): void {
  const { on } = contractContext(open);
  on('a rule is kept by pool, makes the pool known, and is replaced or taken away', async (store) => {
    expect(await store.joinRule('prod')).toBeNull();
    await write(store, (tx) => tx.setJoinRule('prod', RULE, 1));
    expect(await store.joinRule('prod')).toEqual(RULE);
    expect(await store.pool('prod')).toEqual({ pool: 'prod', hosts: 0, tenants: 0 });
    const other = { ...RULE, images: ['ami-0123456789abcdef0'] };
    await write(store, (tx) => tx.setJoinRule('prod', other, 2));
    expect(await store.joinRule('prod')).toEqual(other);
    await write(store, (tx) => tx.setJoinRule('prod', null, 3));
    expect(await store.joinRule('prod')).toBeNull();
    expect(await store.pool('prod')).toBeNull();
  });

  on('an instance is one host, and stays it after the host is gone', async (store) => {
    const host = await addHost(store);
    expect(await write(store, (tx) => tx.bindInstance(bound('i-a', host)))).toBe(true);
    expect(await write(store, (tx) => tx.bindInstance(bound('i-a', hostId(2))))).toBe(false);
    expect(await write(store, (tx) => tx.bindInstance(bound('i-b', host)))).toBe(false);
    expect(await store.instance('i-a')).toEqual(bound('i-a', host));
    expect(await store.instanceOf(host)).toEqual(bound('i-a', host));
    expect(await store.instance('i-b')).toBeNull();
    expect((await store.host(host))?.instance).toBe('i-a');
    await write(store, (tx) => tx.setReenrolment('i-a', 900));
    expect((await store.instance('i-a'))?.reenrolUntil).toBe(900);
    await write(store, (tx) => tx.setHostKey(host, 'another-key'));
    expect((await store.hostByKey('another-key'))?.host).toBe(host);
    await write(store, (tx) => tx.deleteHost(host));
    expect(await store.instance('i-a')).toMatchObject({ host });
  });

  on('a host that came with a token is no instance', async (store) => {
    const host = await addHost(store);
    expect((await store.host(host))?.instance ?? null).toBeNull();
    expect(await store.instanceOf(host)).toBeNull();
  });

  on(
    'a challenge is spent once, also by many at the same moment, and forgotten when it has run out',
    async (store) => {
      const spend = (hash: string, at: number) => write(store, (tx) => tx.spendChallenge(hash, 100, at));
      const outcomes = await Promise.all(Array.from({ length: 8 }, () => spend('a', 1)));
      expect(outcomes.filter(Boolean)).toHaveLength(1);
      expect(await spend('b', 50)).toBe(true);
      expect(await spend('b', 100)).toBe(false);
      expect(await spend('c', 101)).toBe(true);
      // That it is forgotten does no harm: a challenge that has run out is refused before it is looked for.
      expect(await spend('a', 101)).toBe(true);
    },
  );

  on('the key that challenges are signed with is made once', async (store) => {
    const keys = await Promise.all(['one', 'two', 'three'].map((fresh) => store.enrolmentKey(fresh)));
    expect(new Set(keys).size).toBe(1);
    expect(await store.enrolmentKey('four')).toBe(keys[0]);
  });
}
