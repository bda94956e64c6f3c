import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CreateRelease } from '@berth/shared/api/releases';
import { ApplyApp, CreateTenant } from '@berth/shared/api/schemas';
import { BerthError } from '@berth/shared/domain/errors';
import { DesiredTenant } from '@berth/shared/domain/desired';
import { testServices, type TestServices } from '../support/coordinator.ts';
import { BY } from '../support/samples.ts';

let t: TestServices;
beforeEach(async () => {
  t = await testServices();
  for (const [image, digest] of [
    ['r.test/web:1', D1],
    ['r.test/web:2', D2],
    ['r.test/job:1', D3],
  ] as const)
    t.registry.digests.set(image, digest);
});
afterEach(async () => {
  await t.close();
});

const [D1, D2, D3, D4] = ['1', '2', '3', '4'].map((n) => `sha256:${n.repeat(64)}`) as [
  string,
  string,
  string,
  string,
];
const COMPOSE = `
name: shop
services:
  web:
    image: r.test/web:\${VERSION}
    environment:
      GREETING: \${GREETING:-hello}
      COLOUR: \${COLOUR?say a colour}
      OF: \${BERTH_TENANT} \${BERTH_RELEASE}
    env_file: [app.env]
    healthcheck: { test: ["CMD", "/app/health"], interval: 2s }
    deploy: { resources: { limits: { cpus: "0.50", memory: 256M } } }
    x-berth: { route: { port: 8080 }, drain: 30s }
  job:
    image: r.test/job:1
`;
const ENV = { 'app.env': 'SECRET=hunter2\nGREETING=from file\n' };

const create = (given: Partial<CreateRelease> = {}) =>
  t.services.releases.create(
    BY,
    'shop',
    CreateRelease.parse({ compose: COMPOSE, envFiles: ENV, set: { VERSION: '1' }, ...given }),
  );
async function desiredOf(tenant: string): Promise<DesiredTenant> {
  const { host } = (await t.store.tenant(tenant)) ?? { host: '' };
  const { entries } = await t.store.fleet.desiredAll(host);
  return DesiredTenant.parse(JSON.parse(entries.find((each) => each.tenant === tenant)?.json ?? 'null'));
}
const tenant = (variables: Record<string, string>) =>
  t.services.tenants.create(
    BY,
    CreateTenant.parse({ tenant: 'acme', app: 'shop', domains: ['acme.example.com'], variables }),
  );

describe('a release that is created', () => {
  test('makes the app, and pins each image by what its tag means now', async () => {
    const made = await create({ labels: { commit: 'abc' } });
    expect(made).toMatchObject({
      app: 'shop',
      release: 1,
      result: 'created',
      pins: {
        web: { image: 'r.test/web:1', digest: D1, reference: `r.test/web@${D1}` },
        job: { image: 'r.test/job:1', digest: D3, reference: `r.test/job@${D3}` },
      },
    });
    expect(await t.services.apps.release('shop', 1)).toMatchObject({
      images: 'pinned',
      labels: { commit: 'abc' },
      variables: { VERSION: '1' },
      pins: made.pins,
      envFiles: { 'app.env': '34 bytes' },
    });
    expect((await t.services.apps.releases('shop', { limit: 5 })).items).toMatchObject([
      { release: 1, images: 'pinned', labels: { commit: 'abc' } },
    ]);
  });

  test('is the same one while template, variables and digests are, and another when a tag has moved', async () => {
    await create();
    expect(await create({ labels: { build: '58' } })).toMatchObject({ release: 1, result: 'unchanged' });
    t.registry.digests.set('r.test/job:1', D4);
    expect(await create()).toMatchObject({ release: 2, result: 'created' });
    expect(await create({ set: { VERSION: '2' } })).toMatchObject({ release: 3, result: 'created' });
    expect(await create({ set: { VERSION: '2', GREETING: 'hi' } })).toMatchObject({ release: 4 });
    expect((await t.store.release('shop', 1))?.pins['job']?.digest).toBe(D3);
  });

  test('asks for each image once, also when services share it', async () => {
    await create({ compose: `services: { a: &a { image: "r.test/web:$VERSION" }, b: *a, c: *a }` });
    expect(t.registry.asked).toEqual(['r.test/web:1']);
  });

  test('whose image depends on what it does not know is refused with service, line and variable', async () => {
    await expect(create({ set: {} })).rejects.toMatchObject({
      code: 'invalid_compose',
      message: expect.stringMatching(/compose\.yaml:5:\d+ services\.web\.image: .*`VERSION`.*--set VERSION=/),
    });
    expect(t.registry.asked).toEqual([]);
    expect(await t.store.app('shop')).toBeNull();
  });

  test('takes what the app knows, and its own variables above that', async () => {
    await create();
    await t.services.releases.setVariables(BY, 'shop', { VERSION: '2' });
    expect((await create({ set: {} })).pins['web']?.digest).toBe(D2);
    expect((await create({ set: { VERSION: '1' } })).pins['web']?.digest).toBe(D1);
  });

  test('with an image that is missing changes nothing', async () => {
    await expect(create({ set: { VERSION: '9' } })).rejects.toMatchObject({ code: 'image_not_found' });
    expect(await t.store.app('shop')).toBeNull();
    await expect(create({ set: { BERTH_APP: 'x' } })).rejects.toMatchObject({ code: 'invalid_request' });
  });

  test('with an image that no registry has says that "app apply" takes images as they are named', async () => {
    await expect(create({ set: { VERSION: '9' } })).rejects.toMatchObject({
      code: 'image_not_found',
      message: expect.stringMatching(/r\.test\/web:9\..*built on the hosts.*"berth app apply"/),
    });
    t.registry.resolve = () =>
      Promise.reject(new BerthError('registry_unreachable', 'The registry r.test does not answer.'));
    await expect(create()).rejects.toMatchObject({
      code: 'registry_unreachable',
      message: expect.stringMatching(/^The registry r\.test does not answer\. .*"berth app apply"/),
    });
  });

  test('warns of a variable that nobody reads', async () => {
    const { warnings } = await create({ set: { VERSION: '1', VERSOIN: '2' } });
    expect(warnings).toMatchObject([
      { path: 'variables.VERSOIN', message: expect.stringContaining('did you mean VERSION?') },
    ]);
  });

  test('says in the audit which variables it has, not their values', async () => {
    await create({ set: { VERSION: '1', GREETING: 'private' } });
    const audit = JSON.stringify(await t.store.audit(undefined, 10));
    expect(audit).toContain('"variables":["GREETING","VERSION"]');
    expect(audit).not.toContain('private');
  });
});

describe('a release that is applied', () => {
  const apply = (set: Record<string, string>) =>
    t.services.apps.apply(BY, 'shop', ApplyApp.parse({ compose: COMPOSE, envFiles: ENV, set }));

  test('may have variables of its own, as one that is created; other values are another release', async () => {
    await t.host();
    expect(await apply({ VERSION: '1' })).toMatchObject({ release: 1, result: 'created', warnings: [] });
    expect(await apply({ VERSION: '1' })).toMatchObject({ release: 1, result: 'unchanged' });
    expect(await apply({ VERSION: '2' })).toMatchObject({ release: 2, result: 'created' });
    expect(await t.services.apps.release('shop', 2)).toMatchObject({
      images: 'as-named',
      variables: { VERSION: '2' },
    });
    expect(t.registry.asked).toEqual([]);
    await tenant({ COLOUR: 'red' });
    expect((await desiredOf('acme')).spec.services.find(({ name }) => name === 'web')?.image).toBe(
      'r.test/web:2',
    );
  });

  test('warns of a variable that nobody reads, and refuses names that are Berth’s own', async () => {
    expect((await apply({ VERSION: '1', VERSOIN: '2' })).warnings).toMatchObject([
      { path: 'variables.VERSOIN', message: expect.stringContaining('did you mean VERSION?') },
    ]);
    await expect(apply({ BERTH_APP: 'x' })).rejects.toMatchObject({ code: 'invalid_request' });
  });

  test('says in the audit which variables it has, not their values', async () => {
    await apply({ VERSION: 'private' });
    const audit = JSON.stringify(await t.store.audit(undefined, 10));
    expect(audit).toContain('"variables":["VERSION"]');
    expect(audit).not.toContain('private');
  });
});

describe('a tenant of a pinned release', () => {
  beforeEach(async () => {
    await t.host();
    await create({ set: { VERSION: '1', GREETING: 'release' } });
  });

  test('runs the pinned images, whatever its own variables say', async () => {
    await tenant({ VERSION: '2', COLOUR: 'red' });
    const { spec } = await desiredOf('acme');
    expect(Object.fromEntries(spec.services.map(({ name, image }) => [name, image]))).toEqual({
      web: `r.test/web@${D1}`,
      job: `r.test/job@${D3}`,
    });
    await t.services.tenants.change(BY, 'acme', { variables: { VERSION: '3' } });
    expect((await desiredOf('acme')).spec).toEqual(spec);
  });

  test('has the variables of its release below its own and above the app’s', async () => {
    await t.services.releases.setVariables(BY, 'shop', { GREETING: 'app', COLOUR: 'green' });
    await tenant({});
    const config = async () =>
      Object.fromEntries(
        (await t.services.questions.config('acme')).map(({ name, value, source }) => [name, [value, source]]),
      );
    expect(await config()).toMatchObject({
      GREETING: ['release', 'release'],
      VERSION: ['1', 'release'],
      COLOUR: ['green', 'app'],
    });
    const web = (spec: DesiredTenant['spec']) => spec.services.find(({ name }) => name === 'web');
    expect(web((await desiredOf('acme')).spec)?.environment).toMatchObject({ GREETING: 'release' });
    await t.services.tenants.change(BY, 'acme', { variables: { GREETING: 'mine' } });
    expect(await config()).toMatchObject({ GREETING: ['mine', 'tenant'] });
    expect(web((await desiredOf('acme')).spec)?.environment).toMatchObject({ GREETING: 'mine' });
  });

  test('runs what its name means again once it moves to a release that was applied', async () => {
    await tenant({ COLOUR: 'red', VERSION: '2' });
    await t.services.apps.apply(BY, 'shop', { compose: COMPOSE, envFiles: ENV, labels: {}, set: {} });
    expect(await t.services.apps.release('shop', 2)).toMatchObject({ images: 'as-named', pins: {} });
    await t.services.tenants.change(BY, 'acme', { release: 2 });
    expect((await desiredOf('acme')).spec.services.map(({ image }) => image).sort()).toEqual([
      'r.test/job:1',
      'r.test/web:2',
    ]);
  });
});

describe('the difference of two releases', () => {
  const diff = () => t.services.releases.diff('shop', 1, 2);

  test('shows images with their digests, environment, limits, routes and the rest by service', async () => {
    await create();
    await create({
      set: { VERSION: '2' },
      compose: COMPOSE.replace('hello', 'hi')
        .replace('256M', '512M')
        .replace('port: 8080', 'port: 9090')
        .replace('drain: 30s', 'drain: 40s')
        .replace('  job:\n    image: r.test/job:1\n', ''),
    });
    const { compared, changes } = await diff();
    expect(compared).toBe('rendered');
    const shown = changes.map(({ group, service, path, before, after }) =>
      [group, service, path, before, after].map(String).join(' '),
    );
    expect(shown).toContain(`images web image r.test/web:1@${D1} r.test/web:2@${D2}`);
    expect(shown).toContain(`images job image r.test/job:1@${D3} null`);
    expect(shown).toContain('environment web environment.GREETING hello hi');
    expect(shown).toContain('limits web limits.memoryBytes 268435456 536870912');
    expect(shown).toContain('routes web route.port 8080 9090');
    expect(shown).toContain('other web drainMs 30000 40000');
    expect(shown).toContain('other null variables.VERSION 1 2');
    // What only a tenant decides is the same in both.
    expect(shown.filter((line) => /COLOUR|BERTH_/.test(line))).toEqual([]);
  });

  test('of one and the same is nothing', async () => {
    await create();
    expect((await t.services.releases.diff('shop', 1, 1)).changes).toEqual([]);
    await expect(diff()).rejects.toMatchObject({ code: 'not_found', details: { newest: 1 } });
    await expect(t.services.releases.diff('nothing', 1, 2)).rejects.toThrow(/There is no app nothing/);
  });

  test('says that a value of an env file is another, and never what it is', async () => {
    await create();
    await create({ envFiles: { 'app.env': 'SECRET=hunter3\nNEW=hunter4\n' } });
    const { changes } = await diff();
    expect(changes).toEqual([
      {
        group: 'environment',
        service: 'web',
        path: 'environment.NEW',
        before: null,
        after: '(from an env file)',
      },
      {
        group: 'environment',
        service: 'web',
        path: 'environment.SECRET',
        before: '(from an env file)',
        after: '(another, from an env file)',
      },
    ]);
    expect(JSON.stringify(changes)).not.toContain('hunter');
  });

  test('shows what only tenants decide by its name', async () => {
    await create();
    await create({ compose: COMPOSE.replace('COLOUR: ${COLOUR?say a colour}', 'COLOUR: x-${COLOUR}') });
    expect((await diff()).changes).toEqual([
      {
        group: 'environment',
        service: 'web',
        path: 'environment.COLOUR',
        before: '${COLOUR}',
        after: 'x-${COLOUR}',
      },
    ]);
  });

  test('of templates that need a tenant to work out is that of their texts', async () => {
    const sized = COMPOSE.replace('256M', '"${MEMORY}"');
    await create({ compose: sized });
    await create({
      compose: sized.replace('hello', 'hi').replace('cpus: "0.50"', 'cpus: "1"'),
      set: { VERSION: '2' },
      envFiles: { 'app.env': 'SECRET=hunter3\n' },
    });
    const { compared, changes } = await diff();
    expect(compared).toBe('template');
    expect(changes).toMatchObject([
      { group: 'images', service: 'web', before: `r.test/web:1@${D1}`, after: `r.test/web:2@${D2}` },
      { group: 'environment', path: 'environment.GREETING', before: '${GREETING:-hello}' },
      { group: 'limits', path: 'deploy.resources.limits.cpus', before: '0.50', after: '1' },
      { group: 'other', service: null, path: 'env file app.env', after: '(another, from an env file)' },
      { group: 'other', service: null, path: 'variables.VERSION' },
    ]);
    expect(JSON.stringify(changes)).not.toContain('hunter');
  });
});

describe('variables of an app', () => {
  test('are set, changed and taken away, and say so only when something changed', async () => {
    await create();
    const set = (variables: Record<string, string | null>) =>
      t.services.releases.setVariables(BY, 'shop', variables);
    expect(await set({ A: '1', B: '2' })).toEqual({
      app: 'shop',
      result: 'changed',
      variables: { A: '1', B: '2' },
    });
    expect(await set({ A: '1' })).toMatchObject({ result: 'unchanged', variables: { A: '1', B: '2' } });
    expect(await set({ A: null })).toMatchObject({ result: 'changed', variables: { B: '2' } });
    await expect(set({ BERTH_X: '1' })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(t.services.releases.setVariables(BY, 'nothing', { A: '1' })).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});
