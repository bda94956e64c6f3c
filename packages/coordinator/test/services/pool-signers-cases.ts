import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CreateRelease } from '@berth/shared/api/releases';
import { PlanRollout } from '@berth/shared/api/rollouts';
import { CreateTenant } from '@berth/shared/api/schemas';
import { SetPoolSigners } from '@berth/shared/api/signers';
import { signableOf } from '@berth/shared/compose/signable';
import { parseTemplate } from '@berth/shared/compose/template';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { keyHint, signRelease } from '@berth/shared/domain/signature';
import { signSigners, standingOf, type PoolSigners } from '@berth/shared/domain/signers';
import type { SignersFacts } from '@berth/shared/protocol/messages';
import type { StoreOptions } from '../../src/store/open.ts';
import { testServices, type TestServices } from '../support/coordinator.ts';
import { BY, hello } from '../support/samples.ts';

const D1 = `sha256:${'1'.repeat(64)}`;
const COMPOSE = `
services:
  web:
    image: r.test/web:\${VERSION}
    environment: { GREETING: "\${GREETING:-hello}", N: "\${N}" }
    x-berth: { route: { port: 8080 } }
`;
const key = () => generateKeyPairSync('ed25519').privateKey;
const ci = key();
const next = key();
const thief = key();
const NAMES = new Map([
  [ci, 'ci-2026'],
  [next, 'ci-2027'],
  [thief, 'thief'],
]);
const nameOf = (of: KeyObject): string => NAMES.get(of) ?? 'other';
const publicOf = (of: KeyObject): string =>
  createPublicKey(of).export({ format: 'der', type: 'spki' }).toString('base64');

function statement(
  version: number,
  keys: readonly KeyObject[],
  by: readonly KeyObject[],
  more: Partial<PoolSigners> & { replace?: boolean } = {},
) {
  const { replace = false, ...rest } = more;
  const named = keys.map((each) => ({ name: nameOf(each), publicKey: publicOf(each) }));
  const signers = { pool: 'prod', version, required: true, keys: named, ...rest };
  const made = by.map((each) => ({ key: nameOf(each), value: signSigners(each, signers) }));
  return SetPoolSigners.parse({ signers, by: made, replace });
}

/** Whose releases a pool runs, over a store of either kind. */
export function poolSignersCases(where: () => Promise<StoreOptions | undefined>): void {
  let t: TestServices;
  let host: string;
  let releases = 0;
  beforeEach(async () => {
    t = await testServices({ store: await where() });
    host = await t.host('one', 'prod');
    t.registry.digests.set('r.test/web:1', D1);
  });
  afterEach(async () => {
    await t.close();
  });

  const set = (...given: Parameters<typeof statement>) =>
    t.services.poolSigners.set(BY, given[3]?.pool ?? 'prod', statement(...given));
  const show = () => t.services.poolSigners.show('prod');
  const hostState = async () => (await show()).hosts.find((each) => each.host === host);
  const says = (facts: SignersFacts) =>
    t.store.fleet.noteConnections([{ kind: 'signers', host, at: 2, facts }]);
  const pinned = (of: ReturnType<typeof statement>): SignersFacts => ({
    poolSigners: standingOf(of),
    releaseSigners: of.signers.keys.map((each) => each.name).join(', '),
    releaseKeys: of.signers.keys.map((each) => keyHint(each.publicKey)).join(','),
    releaseRule: 'pool',
  });

  async function release(signer: KeyObject | null): Promise<void> {
    releases += 1;
    const set = { VERSION: '1', N: String(releases) };
    const { release: number } = await t.services.releases.create(
      BY,
      'shop',
      CreateRelease.parse({ compose: COMPOSE, set }),
    );
    if (signer === null) return;
    const parsed = parseTemplate({ text: COMPOSE });
    if (!parsed.ok) throw new Error('no template');
    const images = { web: `r.test/web@${D1}` };
    const made = signableOf({ app: 'shop', release: number, template: parsed.template, set, images });
    if (!made.ok) throw new Error(JSON.stringify(made.errors));
    const value = signRelease(signer, made.signable);
    await t.services.releases.sign(BY, 'shop', number, {
      key: nameOf(signer),
      publicKey: publicOf(signer),
      value,
    });
  }
  const create = (tenant: string, more: object = {}) =>
    t.services.tenants.create(
      BY,
      CreateTenant.parse({
        tenant,
        app: 'shop',
        domains: [`${tenant}.example.com`],
        pool: 'prod',
        variables: {},
        ...more,
      }),
    );

  describe('a statement of a pool’s signers', () => {
    test('is handed on, told of, and on record once, without which nothing of it is', async () => {
      const answer = await set(1, [ci], [ci]);
      expect(answer).toMatchObject({
        result: 'changed',
        current: { version: 1, required: true, signedBy: ['ci-2026'], keys: [{ name: 'ci-2026' }] },
        next: 2,
      });
      expect(t.fleet.signed).toEqual(['prod']);
      const [row, ...before] = await t.store.audit(undefined, 10);
      expect(row).toMatchObject({
        action: 'pool.signers-changed',
        subject: 'prod',
        before: null,
        after: { version: 1, required: true, keys: [{ name: 'ci-2026' }] },
      });
      expect(before.map((each) => each.action)).not.toContain('pool.signers-changed');
      const [event] = await t.store.events({ kind: 'pool.signers' }, undefined, 10);
      expect(event).toMatchObject({ details: { pool: 'prod', version: 1, required: true }, host: null });
      expect(await set(1, [ci], [ci])).toMatchObject({ result: 'unchanged' });
      expect(t.fleet.signed).toEqual(['prod']);
      expect((await t.store.audit(undefined, 1))[0]?.id).toBe(row?.id);
    });

    test('may be of a pool that is not there yet, whose first hosts then begin with it', async () => {
      await expect(t.services.poolSigners.show('new')).rejects.toMatchObject({ code: 'not_found' });
      expect(await set(1, [ci], [ci], { pool: 'new' })).toMatchObject({ hosts: [], next: 2 });
      expect(await t.services.poolSigners.show('new')).toMatchObject({ current: { version: 1 } });
      await expect(
        t.services.poolSigners.set(BY, 'prod', statement(1, [ci], [ci], { pool: 'new' })),
      ).rejects.toMatchObject({ code: 'invalid_request' });
    });

    test('that asks for no signature is refused where none was ever asked for', async () => {
      for (const replace of [false, true])
        await expect(set(1, [ci], [ci], { required: false, replace })).rejects.toMatchObject({
          code: 'conflict',
          message: expect.stringContaining('nothing to clear: pool prod has never had signers'),
        });
      expect(await t.store.poolSigners('prod')).toEqual([]);
      expect(t.fleet.signed).toEqual([]);
      // A coordinator that has forgotten what its hosts go by can still clear it.
      await says(pinned(statement(7, [ci], [ci])));
      expect(await set(8, [ci], [ci], { required: false })).toMatchObject({ result: 'changed' });
    });

    test('that hosts would refuse is refused already, unless it is to replace what was there', async () => {
      await expect(set(1, [ci], [thief])).rejects.toThrow(
        'has to be signed by one of the keys that it names',
      );
      await set(2, [ci], [ci]);
      for (const [given, why] of [
        [[3, [thief], [thief]], 'is not signed by a key of the one before (version 2, of ci-2026)'],
        [[1, [ci], [ci]], 'is not above what there is (version 2, of ci-2026)'],
        [[2, [ci], [ci], { required: false }], 'Sign version 3'],
        [[2, [next], [next], { replace: true }], 'needs a higher number'],
      ] as [Parameters<typeof statement>, string][])
        await expect(set(...given)).rejects.toMatchObject({
          code: 'conflict',
          message: expect.stringContaining(why),
        });
      expect((await t.store.poolSigners('prod')).map(({ signers }) => signers.version)).toEqual([2]);
      await set(3, [next], [ci]);
      await set(4, [next], [next], { required: false });
      expect(await t.store.poolSigners('prod')).toHaveLength(3);
      await set(9, [thief], [thief], { replace: true });
      expect((await t.store.poolSigners('prod')).map(({ signers }) => signers.version)).toEqual([9]);
      const [row] = await t.store.audit(undefined, 1);
      expect(row).toMatchObject({
        before: { version: 4, required: false },
        after: { version: 9, replace: true },
      });
    });

    test('has a number above what any host has, also where the coordinator has forgotten that', async () => {
      await says(pinned(statement(7, [ci], [ci])));
      expect(await show()).toMatchObject({ current: null, next: 8 });
      await expect(set(1, [ci], [ci])).rejects.toThrow('Host one goes by version 7');
      expect(await set(8, [ci], [ci])).toMatchObject({ result: 'changed', next: 9 });
    });

    test('is shown with what each host makes of it', async () => {
      expect(await hostState()).toMatchObject({ name: 'one', state: 'cannot', version: null });
      await set(1, [ci], [ci]);
      const first = statement(1, [ci], [ci]);
      await says({ poolSigners: 'none' });
      expect(await hostState()).toMatchObject({ state: 'behind', version: null });
      await says(pinned(first));
      expect(await hostState()).toMatchObject({ state: 'goes-by', version: 1 });
      await says({ ...pinned(statement(1, [next], [next])), signersRefused: 'No.' });
      expect(await hostState()).toMatchObject({ state: 'refuses', version: 1, refused: 'No.' });
      await says({ ...pinned(first), releaseRule: 'host' });
      expect(await hostState()).toMatchObject({ state: 'own' });
      expect((await t.services.hosts.show(host)).facts).toMatchObject({ releaseRule: 'host' });
    });
  });

  describe('a pool that requires signatures', () => {
    beforeEach(async () => {
      await release(null);
      await set(1, [ci], [ci]);
    });

    test('gets no tenant of a release that its keys have not signed', async () => {
      const why =
        'Pool prod runs only releases that are signed by ci-2026, and release 1 of shop is not. Sign it where your keys are with "berth release sign shop 1 -f compose.yaml --set VERSION=… --set N=… --image-digest web=sha256:… --key ci-2026.key", or use one that is signed.';
      await expect(create('acme')).rejects.toMatchObject({ code: 'release_not_signed', message: why });
      await expect(create('acme', { pool: undefined, host })).rejects.toThrow(why);
      await release(thief);
      await expect(create('acme', { release: 2 })).rejects.toThrow('release 2 of shop is not');
      expect(await t.store.tenant('acme')).toBeNull();
      await release(ci);
      await create('acme', { release: 3, variables: { GREETING: 'own' } });
      await expect(t.services.tenants.change(BY, 'acme', { release: 1 })).rejects.toThrow(why);
      const other = await t.host('other', 'test');
      await create('globex', { pool: undefined, host: other, release: 1 });
    });

    test('says in a plan what a change would be refused for, and asks its host for no steps', async () => {
      await release(ci);
      await create('acme', { release: 2 });
      await release(null);
      t.fleet.answer = { kind: 'plan', steps: [] };
      t.fleet.questions.length = 0;
      expect(await t.services.questions.plan('acme', { release: 3 })).toMatchObject({
        stepsFrom: 'unavailable',
        stepsMissing: {
          why: 'refused',
          message: expect.stringContaining('release 3 of shop is not. Sign it where your keys are with'),
        },
      });
      expect(t.fleet.questions).toEqual([]);
      const own = await t.services.questions.plan('acme', { variables: { GREETING: 'hi' } });
      expect(own).toMatchObject({ effect: 'new-generation', stepsFrom: 'agent' });
    });

    test('gets no rollout of such a release, and the plan says why', async () => {
      await release(ci);
      await create('acme', { release: 2 });
      const other = await t.host('other', 'test');
      await create('globex', { pool: undefined, host: other, release: 1 });
      await release(null);
      const wave = (tenants: string[]) =>
        RolloutPolicy.parse({ waves: [{ target: { kind: 'tenants', tenants } }], bakeMs: 1000 });
      const start = (to: number, tenants: string[]) =>
        t.services.rollouts.start(BY, { app: 'shop', to, policy: wave(tenants), whenBusy: 'refuse' });
      const before = (await t.store.audit(undefined, 1))[0]?.id;
      await expect(start(3, ['acme', 'globex'])).rejects.toMatchObject({
        code: 'release_not_signed',
        message: expect.stringMatching(
          /^Pool prod runs only .*release 3 of shop is not.*berth release sign shop 3/,
        ),
        details: { pool: 'prod', app: 'shop', release: 3 },
      });
      expect((await t.store.audit(undefined, 1))[0]?.id).toBe(before);
      const planned = await t.services.rollouts.plan(
        PlanRollout.parse({ app: 'shop', to: 3, policy: wave(['acme']) }),
      );
      expect(planned.warnings).toContainEqual(expect.stringContaining('release 3 of shop is not'));
      // Tenants of another pool are nobody's business of this one's.
      expect(await start(3, ['globex'])).toMatchObject({ to: 3 });
    });

    test('asks for none once a key of its own has said so', async () => {
      await expect(create('acme')).rejects.toMatchObject({ code: 'release_not_signed' });
      await set(2, [ci], [ci], { required: false });
      await create('acme');
    });

    test('whose host has pinned more than is on record here is heeded as far as the host tells', async () => {
      await says(pinned(statement(5, [next], [ci])));
      await set(6, [ci], [ci], { required: false, replace: true });
      await expect(create('acme')).rejects.toThrow('Host one runs only releases that are signed by ci-2027');
    });

    test('leaves a host to its own configuration, which goes before it', async () => {
      await release(next);
      const said = hello(host);
      const facts = { releaseSigners: 'ci-2027', releaseKeys: keyHint(publicOf(next)) };
      await t.store.fleet.noteConnections([
        { kind: 'online', host, at: 3, hello: { ...said, facts: { ...said.facts, ...facts } } },
      ]);
      await create('acme', { release: 2 });
      await expect(create('globex', { release: 1 })).rejects.toThrow('Host one runs only');
    });

    test('tells with a tenant when its host refuses what it is sent', async () => {
      await release(ci);
      await create('acme', { release: 2 });
      const refused =
        'The coordinator sent version 2. Version 1 stays in force: only signed releases run here.';
      await says({ ...pinned(statement(1, [ci], [ci])), signersRefused: refused });
      const explained = await t.services.questions.explain('acme');
      expect(explained.advice.join(' ')).toContain(refused);
      expect(explained.advice.join(' ')).toContain('berth pool signers show prod');
    });
  });
}
