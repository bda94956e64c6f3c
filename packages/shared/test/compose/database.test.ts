import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { renderTenant } from '../../src/compose/render.ts';
import { signableOf } from '../../src/compose/signable.ts';
import { parseTemplate, type Template } from '../../src/compose/template.ts';
import type { DatabaseWish } from '../../src/domain/database.ts';
import type { SecretRef } from '../../src/domain/secret.ts';
import { signRelease, verifyRelease } from '../../src/domain/signature.ts';
import type { TenantSpec } from '../../src/domain/spec.ts';

const REF: SecretRef = { name: 'DATABASE_URL', version: 3, id: '0123456789abcdef' };
const SECRETS = new Map([['DATABASE_URL', REF]]);

function parsed(text: string, envFiles: Record<string, string> = {}): Template {
  const read = parseTemplate({ text, envFiles });
  if (!read.ok) throw new Error(read.errors.map((each) => `${each.line} ${each.message}`).join('\n'));
  return read.template;
}

function errorsOf(text: string, envFiles: Record<string, string> = {}): string[] {
  const read = parseTemplate({ text, envFiles });
  return read.ok ? [] : read.errors.map((each) => `${each.line}: ${each.path}: ${each.message}`);
}

function specOf(text: string, secrets = SECRETS): TenantSpec {
  const made = renderTenant(parsed(text), {}, secrets);
  if (!made.ok) throw new Error(made.errors.map((each) => each.message).join('\n'));
  return made.spec;
}

const app = (wish: string, service = ''): string =>
  `services:\n  web:\n    image: "a:1"\n${service}\nx-berth:\n  database: ${wish}\n`;

describe('x-berth.database', () => {
  test.each<[string, DatabaseWish]>([
    [
      '{ engine: postgres }',
      { kind: 'managed', engine: 'postgres', server: null, own: 'database', connections: 20 },
    ],
    [
      '{ engine: postgres, server: eu-main, own: schema, connections: 5 }',
      { kind: 'managed', engine: 'postgres', server: 'eu-main', own: 'schema', connections: 5 },
    ],
    [
      '{ engine: postgres, service: web }',
      { kind: 'service', engine: 'postgres', service: 'web', user: null, database: null },
    ],
    [
      '{ engine: postgres, service: web, user: "a b", database: shop }',
      { kind: 'service', engine: 'postgres', service: 'web', user: 'a b', database: 'shop' },
    ],
  ])('%s', (text, expected) => {
    expect(specOf(app(text)).database).toEqual(expected);
  });

  test.each<[string, string, RegExp]>([
    ['no engine', '{ server: main }', /^6: x-berth\.database: has no engine; write `engine: postgres`/],
    ['another engine', '{ engine: mysql }', /^6: x-berth\.database\.engine: must be one of postgres/],
    ['a slip of the pen', '{ engine: postgres, sever: main }', /did you mean `server`/],
    ['no connections', '{ engine: postgres, connections: 0 }', /whole number from 1 to 10000/],
    ['a third way', '{ engine: postgres, own: table }', /one of database, schema/],
    ['a server name like none', '{ engine: postgres, server: "Main!" }', /berth database list/],
    ['a service there is not', '{ engine: postgres, service: db }', /`db` is not a service of this file/],
    ['both ways at once', '{ engine: postgres, service: web, server: main }', /remove it, or remove service/],
    ['a user without a service', '{ engine: postgres, user: me }', /name it with service/],
    ['a word', 'postgres', /must be a mapping/],
  ])('refuses %s with its line and what to do', (_what, text, sentence) => {
    expect(errorsOf(app(text)).join('\n')).toMatch(sentence);
  });

  test('belongs to the whole tenant, and is pointed there', () => {
    const text = 'services: { web: { image: "a:1", x-berth: { database: { engine: postgres } } } }';
    expect(errorsOf(text).join()).toMatch(/top-level x-berth/);
  });
});

describe('the address of a database that Berth makes', () => {
  const wish = '{ engine: postgres }';

  test('is a secret variable of every service, without further words', () => {
    const spec = specOf(
      'services:\n  web: { image: "a:1" }\n  worker: { image: "a:1" }\nx-berth: { database: { engine: postgres } }',
    );
    for (const service of spec.services) {
      expect(service.secretEnv).toEqual({ DATABASE_URL: REF });
      expect(service.environment).toEqual({});
    }
  });

  test.each([
    '{ DB: "${DATABASE_URL}" }',
    '{ DB: $DATABASE_URL }',
    '{ DB: "${DATABASE_URL:?is made by Berth}" }',
    '{ DB: "${DATABASE_URL:-postgres://localhost/dev}" }',
    '["DB=${DATABASE_URL}"]',
  ])('is what %s means', (environment) => {
    const text = app(wish, `    environment: ${environment}`);
    const [web] = specOf(text).services;
    expect(web?.secretEnv).toEqual({ DATABASE_URL: REF, DB: REF });
    expect(web?.environment).toEqual({});
    expect(parsed(text).variables).toEqual([]);
  });

  test.each(['{ DATABASE_URL: }', '[DATABASE_URL]', '{ DATABASE_URL: "${DATABASE_URL}" }'])(
    'is what %s takes',
    (environment) => {
      const [web] = specOf(app(wish, `    environment: ${environment}`)).services;
      expect(web?.secretEnv).toEqual({ DATABASE_URL: REF });
    },
  );

  test('stands in the place of one for development, and that is said', () => {
    const text = app(wish, '    environment: { DATABASE_URL: "postgres://dev@localhost/dev", A: b }');
    const read = parseTemplate({ text });
    expect(read.ok && read.warnings.map((each) => each.message).join()).toMatch(/gives way/);
    const [web] = specOf(text).services;
    expect(web).toMatchObject({ secretEnv: { DATABASE_URL: REF }, environment: { A: 'b' } });
  });

  test.each([
    ['within another value', '    environment: { DB: "${DATABASE_URL}?pool=3" }'],
    ['within what another variable falls back to', '    environment: { DB: "${A:-${DATABASE_URL}}" }'],
    ['on a command line', '    command: ["serve", "${DATABASE_URL}"]'],
    ['in a label', '    labels: { db: "$DATABASE_URL" }'],
  ])('is refused %s, since it is a secret', (_what, service) => {
    expect(errorsOf(app(wish, service)).join()).toMatch(/^4: .*only be the whole value of a variable/);
  });

  test('is refused in an env file, which would hold it in plain text', () => {
    const text = app(wish, '    env_file: app.env');
    expect(errorsOf(text, { 'app.env': 'DB=${DATABASE_URL}\n' }).join()).toMatch(/an env file uses it/);
  });

  test('is an ordinary variable where Berth makes no database', () => {
    const text = 'services: { web: { image: "a:1", environment: { DB: "${DATABASE_URL}/x" } } }';
    expect(parsed(text).variables.map((each) => each.name)).toEqual(['DATABASE_URL']);
  });

  test('is missed with a sentence by a tenant that has none yet', () => {
    const made = renderTenant(parsed(app(wish)), {}, new Map());
    expect(made.ok ? '' : made.errors.map((each) => each.message).join()).toMatch(/is not made yet/);
  });

  test('is signed by its name, leaves no variable open, and holds for every tenant’s own', () => {
    const image = `r.test/a@sha256:${'a'.repeat(64)}`;
    const template = parsed(app(wish, '    environment: { DB: "${DATABASE_URL}" }').replace('a:1', image));
    const made = signableOf({ app: 'shop', release: 1, template, set: {}, images: {} });
    if (!made.ok) throw new Error(JSON.stringify(made.errors));
    const { privateKey, publicKey: key } = generateKeyPairSync('ed25519');
    const rendered = renderTenant(template, {}, SECRETS);
    if (!rendered.ok) throw new Error(JSON.stringify(rendered.errors));
    const { signable } = made;
    const signature = { open: signable.open, by: [{ key: 'ci', value: signRelease(privateKey, signable) }] };
    const entry = { app: 'shop', release: 1, spec: rendered.spec, signature };
    expect(verifyRelease(entry, [{ name: 'ci', key }])).toEqual({ kind: 'signed', key: 'ci' });
    const { database: _none, ...without } = rendered.spec;
    expect(verifyRelease({ ...entry, spec: without }, [{ name: 'ci', key }])).toMatchObject({
      why: 'altered',
    });
    expect(made.ok && made.signable.open).toEqual({});
    expect(made.ok && Object.keys(made.signable.spec.services[0]?.secretEnv ?? {})).toEqual([
      'DATABASE_URL',
      'DB',
    ]);
  });
});
