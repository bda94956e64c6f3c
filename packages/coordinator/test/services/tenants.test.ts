import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DesiredTenant, stateDigest, type DesiredState } from '@berth/shared/domain/desired';
import { CreateTenant } from '@berth/shared/api/schemas';
import { BerthError } from '@berth/shared/domain/errors';
import { COMPOSE, testServices, type TestServices } from '../support/coordinator.ts';
import { BY, GIB, hello, report } from '../support/samples.ts';

let t: TestServices;
beforeEach(async () => {
  t = await testServices();
});
afterEach(async () => {
  await t.close();
});

const apply = (compose = COMPOSE) =>
  t.services.apps.apply(BY, 'shop', { compose, envFiles: {}, labels: {}, set: {} });
const create = (tenant: string, given: object = {}) =>
  t.services.tenants.create(
    BY,
    CreateTenant.parse({ tenant, app: 'shop', domains: [`${tenant}.example.com`], ...given }),
  );
async function desiredOn(host: string, tenant: string): Promise<DesiredTenant> {
  const { entries } = await t.store.fleet.desiredAll(host);
  const entry = entries.find((each) => each.tenant === tenant);
  return DesiredTenant.parse(JSON.parse(entry?.json ?? 'null'));
}
const audits = async () => (await t.store.audit(undefined, 100)).map((row) => row.action).reverse();

describe('a new tenant', () => {
  test('is placed, rendered with its variables, written for its host, and the host is told', async () => {
    const host = await t.host();
    await apply();
    const changed = await create('acme', { variables: { GREETING: 'hi' } });
    expect(changed).toMatchObject({ tenant: 'acme', generation: 1, host, result: 'changed' });
    const desired = await desiredOn(host, 'acme');
    expect(desired).toMatchObject({ app: 'shop', release: 1, generation: 1, state: 'running' });
    expect(desired.spec.services[0]?.environment).toMatchObject({ GREETING: 'hi', STORE: 'acme' });
    expect(t.fleet.told).toEqual([host]);
    const snapshot = await t.store.fleet.desiredAll(host);
    const state: Pick<DesiredState, 'tenants' | 'tombstones'> = {
      tenants: { acme: desired },
      tombstones: {},
    };
    expect(snapshot).toMatchObject({ revision: 1, digest: stateDigest(state) });
    const events = await t.store.events({}, changed.afterEvent, 10);
    expect(events).toMatchObject([{ kind: 'tenant.created', tenant: 'acme', generation: 1 }]);
  });

  test('of a name or a domain that is taken is refused, and names no other tenant', async () => {
    await t.host();
    await apply();
    await create('acme');
    await expect(create('acme', { domains: ['new.example.com'] })).rejects.toMatchObject({
      code: 'already_exists',
      message: 'There is a tenant acme already. Choose another name.',
    });
    const refused = create('globex', { domains: ['new.example.com', 'acme.example.com'] });
    await expect(refused).rejects.toMatchObject({ code: 'domain_taken' });
    await expect(refused).rejects.toThrow(/^The domain acme\.example\.com belongs to another tenant\./);
    expect(await t.store.tenant('globex')).toBeNull();
    await create('initech', { domains: ['new.example.com'] });
  });

  test('that names a domain twice, an unknown app, release, host or a variable of ours is refused in a sentence', async () => {
    const host = await t.host();
    await apply();
    const refusals: [object, string, RegExp][] = [
      [{ domains: ['a.example.com', 'a.example.com'] }, 'invalid_request', /a\.example\.com is given twice/],
      [{ app: 'nothing' }, 'not_found', /There is no app nothing/],
      [{ release: 7 }, 'not_found', /App shop has no release 7/],
      [{ host: 'h_zzzzzzzzzzzzzzzz' }, 'no_host', /There is no host h_zzzzzzzzzzzzzzzz/],
      [{ pool: 'gold' }, 'no_host', /Pool gold has no host/],
      [{ host, pool: 'gold' }, 'invalid_request', /Host one is in pool default, not in gold/],
      [{ variables: { BERTH_TENANT: 'x' } }, 'invalid_request', /BERTH_TENANT cannot be set/],
    ];
    for (const [given, code, message] of refusals) {
      await expect(create('acme', given)).rejects.toMatchObject({ code });
      await expect(create('acme', given)).rejects.toThrow(message);
    }
    expect((await t.store.host(host))?.tenants).toBe(0);
  });

  test('for which there is no room is refused with the numbers, and nothing is written', async () => {
    const host = await t.host();
    await apply();
    await t.store.fleet.noteConnections([
      {
        kind: 'online',
        host,
        hello: hello(host, { capacity: { memoryBytes: GIB, cpus: 4, diskBytes: 1 } }),
        at: 1,
      },
    ]);
    await create('one');
    await create('two');
    await expect(create('three')).rejects.toMatchObject({ code: 'no_capacity' });
    await expect(create('three')).rejects.toThrow(/256 MiB.*one has .* of 972\.8 MiB memory/);
    expect(await t.store.tenant('three')).toBeNull();
    expect((await t.store.fleet.desiredAll(host)).revision).toBe(2);
  });

  test('whose required variable is missing is refused with the line', async () => {
    await t.host();
    await apply(COMPOSE.replace('${GREETING:-hello}', '${GREETING:?set a greeting}'));
    await expect(create('acme')).rejects.toMatchObject({ code: 'invalid_compose' });
    await expect(create('acme')).rejects.toThrow(/compose\.yaml:7:.*set a greeting/s);
    await create('acme', { variables: { GREETING: 'hi' } });
  });
});

describe('changing a tenant', () => {
  let host = '';
  beforeEach(async () => {
    host = await t.host();
    await apply();
    await create('acme');
    t.fleet.told.length = 0;
  });
  const change = (given: Parameters<typeof t.services.tenants.change>[2]) =>
    t.services.tenants.change(BY, 'acme', given);

  test('with a variable that matters makes a new generation, once', async () => {
    expect(await change({ variables: { GREETING: 'hi' } })).toMatchObject({
      generation: 2,
      result: 'changed',
    });
    expect((await desiredOn(host, 'acme')).spec.services[0]?.environment['GREETING']).toBe('hi');
    const records = await audits();
    expect(await change({ variables: { GREETING: 'hi' } })).toMatchObject({
      generation: 2,
      result: 'unchanged',
    });
    expect(await audits()).toEqual(records);
    expect(t.fleet.told).toEqual([host]);
    expect(await change({ variables: { GREETING: null } })).toMatchObject({
      generation: 3,
      result: 'changed',
    });
    expect((await desiredOn(host, 'acme')).spec.services[0]?.environment['GREETING']).toBe('hello');
  });

  test('with a variable that nothing reads keeps it and leaves the containers alone', async () => {
    expect(await change({ variables: { UNUSED: '1' } })).toMatchObject({
      generation: 1,
      result: 'unchanged',
    });
    expect(await t.services.questions.config('acme')).toContainEqual({
      name: 'UNUSED',
      value: '1',
      source: 'tenant',
    });
    expect((await audits()).at(-1)).toBe('tenant.variables');
    expect(t.fleet.told).toEqual([]);
  });

  test('keeps a variable that is named like what every object has', async () => {
    await apply(COMPOSE.replaceAll('GREETING', 'constructor'));
    await change({ release: 2, variables: { constructor: 'hi' } });
    const set = (await desiredOn(host, 'acme')).spec;
    expect(JSON.stringify(set)).toContain('"hi"');
    expect(await change({ variables: { OTHER: 'x' } })).toMatchObject({ generation: 2, result: 'unchanged' });
    expect((await desiredOn(host, 'acme')).spec).toEqual(set);
  });

  test('with domains alone raises the revision and keeps the generation', async () => {
    const before = await t.store.fleet.desiredAll(host);
    expect(await change({ domains: ['shop.example.com'] })).toMatchObject({
      generation: 1,
      result: 'changed',
    });
    const after = await t.store.fleet.desiredAll(host);
    expect(after.revision).toBe(before.revision + 1);
    expect((await desiredOn(host, 'acme')).domains).toEqual(['shop.example.com']);
    await create('globex', { domains: ['acme.example.com'] });
    await expect(change({ domains: ['acme.example.com'] })).rejects.toMatchObject({ code: 'domain_taken' });
  });

  test('to another release moves it there, and names what there is when there is none', async () => {
    await apply(COMPOSE.replace('/app/health', '/app/healthy'));
    expect(await change({ release: 2 })).toMatchObject({ generation: 2, result: 'changed' });
    expect((await desiredOn(host, 'acme')).release).toBe(2);
    await expect(change({ release: 9 })).rejects.toMatchObject({ code: 'not_found' });
  });

  test('pauses and resumes without a new generation, and says when there was nothing to do', async () => {
    const { tenants } = t.services;
    expect(await tenants.pause(BY, 'acme')).toMatchObject({ generation: 1, result: 'changed' });
    expect(await tenants.pause(BY, 'acme')).toMatchObject({ generation: 1, result: 'unchanged' });
    expect((await desiredOn(host, 'acme')).state).toBe('paused');
    await expect(tenants.restart(BY, 'acme')).rejects.toThrow(/is paused/);
    expect(await change({ variables: { GREETING: 'hi' } })).toMatchObject({ generation: 2 });
    expect((await desiredOn(host, 'acme')).state).toBe('paused');
    expect(await tenants.resume(BY, 'acme')).toMatchObject({ generation: 2, result: 'changed' });
    expect((await desiredOn(host, 'acme')).state).toBe('running');
    expect(await tenants.resume(BY, 'acme')).toMatchObject({ result: 'unchanged' });
  });

  test('restarts as a new generation of the same thing', async () => {
    const before = await desiredOn(host, 'acme');
    expect(await t.services.tenants.restart(BY, 'acme')).toMatchObject({ generation: 2, result: 'changed' });
    expect(await desiredOn(host, 'acme')).toEqual({ ...before, generation: 2 });
  });

  test('deletes by a tombstone, refuses changes from then on, and frees the name when the agent is done', async () => {
    const { tenants } = t.services;
    await change({ variables: { GREETING: 'hi' } });
    expect(await tenants.remove(BY, 'acme')).toMatchObject({ generation: 2, result: 'changed' });
    expect(await tenants.remove(BY, 'acme')).toMatchObject({ result: 'unchanged' });
    await expect(change({ variables: { GREETING: 'ho' } })).rejects.toMatchObject({ code: 'conflict' });
    await expect(tenants.restart(BY, 'acme')).rejects.toMatchObject({ code: 'conflict' });
    await expect(t.services.questions.plan('acme', {})).rejects.toMatchObject({ code: 'conflict' });
    await expect(create('acme')).rejects.toMatchObject({ code: 'already_exists' });
    const { entries } = await t.store.fleet.desiredAll(host);
    expect(JSON.parse(entries[0]?.json ?? '')).toEqual({ tenant: 'acme', generation: 2, state: 'proposed' });
    await t.store.fleet.finishRemoval(host, 'acme', 2, 9);
    expect(await create('acme')).toMatchObject({ generation: 3 });
  });

  test('is refused while the coordinator only observes', async () => {
    await t.store.fleet.enterObserveOnly('older than its agents', 5);
    await expect(change({ variables: { GREETING: 'hi' } })).rejects.toMatchObject({ code: 'observe_only' });
    await expect(create('globex')).rejects.toThrow(/only observes \(older than its agents\)/);
    expect(await t.services.status.confirmEpoch(BY)).toMatchObject({ mode: 'apply', epoch: 2 });
    expect(t.fleet.modes).toBe(1);
    await t.services.status.confirmEpoch(BY);
    expect(t.fleet.modes).toBe(1);
    expect(await change({ variables: { GREETING: 'hi' } })).toMatchObject({ result: 'changed' });
  });

  test('after a restore never gives out a generation that a host has used since the backup', async () => {
    await t.store.fleet.enterObserveOnly('older than its agents', 5);
    const ahead = { ...report('acme', { generation: 7, live: 7, at: 9 }) };
    await t.store.fleet.ingest([{ host, at: 9, tenants: [ahead], events: [], report: null, traffic: [] }]);
    await t.services.status.confirmEpoch(BY);
    expect((await desiredOn(host, 'acme')).generation).toBe(8);
    expect(await t.services.tenants.restart(BY, 'acme')).toMatchObject({ generation: 9 });
    const later = { ...report('acme', { generation: 12, live: 12, at: 10 }) };
    await t.store.fleet.ingest([{ host, at: 10, tenants: [later], events: [], report: null, traffic: [] }]);
    expect(await t.services.questions.plan('acme', { variables: { GREETING: 'x' } })).toMatchObject({
      toGeneration: 13,
    });
    expect(await t.services.tenants.restart(BY, 'acme')).toMatchObject({ generation: 13 });
    expect((await create('globex')).generation).toBeGreaterThan(1000);
  });

  test('writes one audit record for each change, without the values of variables', async () => {
    await change({ variables: { GREETING: 'a-private-value' } });
    await t.services.tenants.pause(BY, 'acme');
    await t.services.tenants.resume(BY, 'acme');
    await t.services.tenants.restart(BY, 'acme');
    await t.services.tenants.remove(BY, 'acme');
    expect((await audits()).slice(-6)).toEqual([
      'tenant.created',
      'tenant.changed',
      'tenant.paused',
      'tenant.resumed',
      'tenant.restarted',
      'tenant.deleted',
    ]);
    expect(JSON.stringify(await t.store.audit(undefined, 100))).not.toContain('a-private-value');
  });
});

describe('questions about a tenant', () => {
  let host = '';
  beforeEach(async () => {
    host = await t.host();
    await apply();
    await create('acme');
  });

  test('a plan shows what would change and the agent’s steps, and changes nothing', async () => {
    const step = { kind: 'preflight', title: 'check', state: 'todo' as const, startedAt: null, ms: null };
    t.fleet.answer = { kind: 'plan', steps: [step] };
    const before = await t.store.fleet.desiredAll(host);
    const plan = await t.services.questions.plan('acme', { variables: { GREETING: 'hi', TYPO: 'x' } });
    expect(plan).toMatchObject({
      effect: 'new-generation',
      fromGeneration: 1,
      toGeneration: 2,
      changes: [{ path: 'services.web.environment.GREETING', before: 'hello', after: 'hi' }],
      warnings: [{ path: 'variables.TYPO' }],
      steps: [step],
      stepsFrom: 'agent',
    });
    expect(t.fleet.questions).toMatchObject([{ kind: 'plan', tenant: { generation: 2 } }]);
    expect(await t.store.fleet.desiredAll(host)).toEqual(before);
    expect(await t.services.questions.plan('acme', {})).toMatchObject({ effect: 'none', changes: [] });
    expect(await t.services.questions.plan('acme', { domains: ['x.example.com'] })).toMatchObject({
      effect: 'routes-only',
      toGeneration: 1,
    });
    t.fleet.connected.clear();
    expect(await t.services.questions.plan('acme', {})).toMatchObject({
      steps: [],
      stepsFrom: 'unavailable',
      stepsMissing: { why: 'offline' },
    });
  });

  test('a plan whose steps the host does not tell says why', async () => {
    const missing = async () =>
      (await t.services.questions.plan('acme', { variables: { GREETING: 'hi' } })).stepsMissing;
    t.fleet.answer = { kind: 'error', code: 'docker_unavailable', message: 'Docker does not answer.' };
    expect(await missing()).toEqual({ why: 'no-answer', message: 'Docker does not answer.' });
    t.fleet.answer = { kind: 'error', code: 'release_not_signed', message: 'It is not signed.' };
    expect(await missing()).toEqual({ why: 'refused', message: 'It is not signed.' });
    t.fleet.answer = new BerthError('timeout', 'It did not answer within 5 s.');
    expect(await missing()).toEqual({ why: 'no-answer', message: 'It did not answer within 5 s.' });
  });

  test('a plan lists only the steps that the change causes', async () => {
    const view = (kind: string, title: string) => ({
      kind,
      title,
      state: 'todo' as const,
      startedAt: null,
      ms: null,
    });
    const leftOver = view('containers.stop', 'stop web (the new generation serves)');
    const own = view('ingress.apply', 'tell Nginx its 2 sites');
    t.fleet.answer = (question) => ({
      kind: 'plan',
      steps:
        question.kind === 'plan' && question.tenant.domains.includes('x.example.com')
          ? [leftOver, own]
          : [leftOver],
    });
    const routes = await t.services.questions.plan('acme', { domains: ['x.example.com'] });
    expect(routes).toMatchObject({ effect: 'routes-only', stepsFrom: 'agent', steps: [own] });
    t.fleet.questions.length = 0;
    expect(await t.services.questions.plan('acme', {})).toMatchObject({ effect: 'none', steps: [] });
    expect(t.fleet.questions).toEqual([]);
  });

  test('a plan suggests the variable that was meant', async () => {
    const plan = await t.services.questions.plan('acme', { variables: { GREETNG: 'x' } });
    expect(plan.warnings[0]?.message).toBe('the template does not use this variable; did you mean GREETING?');
  });

  test('config tells each value and its layer', async () => {
    await t.store.mutate(BY, 1, async (tx) => {
      await tx.setVariable('app', 'shop', 'VERSION', '7', 1);
      await tx.setVariable('pool', 'default', 'VERSION', '8', 1);
      return { result: null, audit: { action: 'test', subject: 'test', before: null, after: null } };
    });
    const sources = Object.fromEntries(
      (await t.services.questions.config('acme')).map(({ name, value, source }) => [name, [value, source]]),
    );
    expect(sources).toMatchObject({
      BERTH_TENANT: ['acme', 'builtin'],
      BERTH_DOMAIN: ['acme.example.com', 'builtin'],
      BERTH_RELEASE: ['1', 'builtin'],
      GREETING: ['hello', 'template-default'],
      VERSION: ['8', 'pool'],
    });
  });

  test('a tenant is shown as waiting until its newest generation was reported', async () => {
    expect(await t.services.tenants.show('acme')).toMatchObject({
      phase: 'waiting',
      live: null,
      freshness: 'current',
    });
    await t.store.fleet.ingest([
      { host, at: 5, tenants: [report('acme')], events: [], report: null, traffic: [] },
    ]);
    expect(await t.services.tenants.show('acme')).toMatchObject({
      phase: 'settled',
      live: 1,
      urls: ['http://acme.example.com:8080/'],
    });
    await t.services.tenants.restart(BY, 'acme');
    expect(await t.services.tenants.show('acme')).toMatchObject({ phase: 'waiting', live: 1, generation: 2 });
    expect((await t.services.questions.explain('acme')).verdict).toContain('has not acknowledged');
  });

  test('logs are the agent’s lines, or its error as it is', async () => {
    t.fleet.answer = { kind: 'logs', lines: [{ service: 'web', line: 'hello' }] };
    expect(await t.services.questions.logs('acme', 'web', 10)).toEqual([{ service: 'web', line: 'hello' }]);
    t.fleet.answer = { kind: 'error', code: 'docker_unavailable', message: 'Docker does not answer.' };
    await expect(t.services.questions.logs('acme', undefined, 10)).rejects.toMatchObject({
      code: 'docker_unavailable',
    });
    t.fleet.connected.clear();
    await expect(t.services.questions.logs('acme', undefined, 10)).rejects.toMatchObject({
      code: 'host_offline',
    });
  });
});
