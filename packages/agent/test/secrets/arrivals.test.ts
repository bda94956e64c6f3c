import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sealToHost } from '@berth/shared/secrets/sealed';
import { createArrivals, type Arrivals } from '../../src/secrets/arrivals.ts';
import { openHostKey, type HostKey } from '../../src/secrets/host-key.ts';
import { createSealedStore, type SealedStore } from '../../src/secrets/sealed-store.ts';
import { createWants, type Wants } from '../../src/secrets/wants.ts';
import { silentLog } from '../../src/state/ports.ts';
import { desiredTenant, serviceSpec } from '../support/specs.ts';

const HOST = 'h_aaaaaaaaaaaaaaaa';
const place = { tenant: 'acme', name: 'KEY', version: 1, id: '0123456789abcdef' };
const { tenant: _tenant, ...ref } = place;
let dir = '';
let key: HostKey;
let sealed: SealedStore;
let wants: Wants;
let arrivals: Arrivals;
let told: string[][];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'berth-arrivals-'));
  key = await openHostKey(dir, null);
  sealed = createSealedStore(join(dir, 'sealed'), () => Promise.resolve(key));
  wants = createWants();
  told = [];
  const onCame = (tenants: readonly string[]) => void told.push([...tenants]);
  arrivals = createArrivals({ sealed, wants, hostId: () => HOST, log: silentLog, onCame });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const tenantWith = (...refs: (typeof ref & { from?: string })[]) =>
  desiredTenant('acme', 1, {
    services: [serviceSpec('web', { secretEnv: Object.fromEntries(refs.map((each) => [each.name, each])) })],
  });
const boxOf = (of: typeof place, host = HOST): string =>
  sealToHost(Buffer.from(key.publicKey, 'base64'), host, of, Buffer.from('v'));
const given = (of: typeof place, box: string) => ({
  type: 'secrets' as const,
  secrets: [{ ...of, given: { kind: 'sealed' as const, box } }],
});

describe('what a host is given', () => {
  test('is asked for as soon as it is desired, kept sealed, and told of', async () => {
    await arrivals.expect([tenantWith(ref, { ...ref, name: 'REF', from: 'aws-ssm:/x' })]);
    expect(wants.messages()[0]?.want).toEqual([place]);
    await arrivals.receive(given(place, boxOf(place)));
    expect(String(await sealed.open(place))).toBe('v');
    expect(told).toEqual([['acme']]);
    await arrivals.expect([tenantWith(ref)]);
    expect(wants.messages()).toEqual([]);
  });

  test('is not kept when nobody asked for it', async () => {
    await arrivals.receive(given(place, boxOf(place)));
    expect(await sealed.has(place)).toBe(false);
    expect(told).toEqual([]);
  });

  test.each([
    ['that was sealed for another host', () => boxOf(place, 'h_bbbbbbbbbbbbbbbb')],
    ['of another tenant under this one’s name', () => boxOf({ ...place, tenant: 'globex' })],
    ['that is garbage', () => Buffer.alloc(80, 1).toString('base64')],
    ['that is nothing', () => ''],
  ])('is not kept when it is a value %s', async (_what, box) => {
    await arrivals.expect([tenantWith(ref)]);
    await arrivals.receive(given(place, box()));
    expect(await sealed.has(place)).toBe(false);
    expect(told).toEqual([]);
  });

  test('is forgotten with the tenant', async () => {
    await arrivals.expect([tenantWith(ref)]);
    expect(arrivals.expected('acme')).toEqual([place]);
    arrivals.forget('acme');
    expect(arrivals.expected('acme')).toEqual([]);
    expect(readFileSync(join(dir, 'sealing-key.json'), 'utf8')).toContain('"kind":"plain"');
  });
});
