import fc from 'fast-check';
import { z } from 'zod';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RouteDefinition } from '@berth/shared/api/route';
import { API_PREFIX } from '@berth/shared/api/routes';
import { ApiError } from '@berth/shared/api/schemas';
import { ROUTES } from './access-table.ts';
import type { TestCoordinator } from './coordinator.ts';
import { fitting, type Names } from './fitting.ts';
import { side } from './side.ts';

interface Target {
  c: TestCoordinator;
  names: Names;
}

/** What somebody might try in the place of a name. */
const HOSTILE = [
  '../../etc/passwd',
  '..',
  '.',
  '%2e%2e%2f%2e%2e',
  '..%2f..%2f',
  '%252e%252e%252f',
  '....//',
  '/etc/passwd',
  '\\..\\..\\',
  'a\u0000b',
  '\u0000',
  '%00',
  'a\r\nset-cookie: x=1',
  '\u001b[2J\u001b]0;owned\u0007',
  '\u009b31m',
  '\u202egnp.exe',
  'аcme', // its first letter is Cyrillic
  'acme\u200b',
  'ACME',
  'acme ',
  "acme'; drop table tenants; --",
  '$(reboot)',
  '`reboot`',
  '{{7*7}}',
  '__proto__',
  'constructor',
  'NaN',
  '-1',
  '1e999',
  '9007199254740993',
  '\ud800',
  'a'.repeat(10_000),
  '🙂'.repeat(50),
];
const hostile = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE) },
  { weight: 1, arbitrary: fc.string({ minLength: 1, maxLength: 60, unit: 'binary' }) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...HOSTILE), fc.string()).map(([a, b]) => `acme${a}${b}`),
  },
);

/** Characters that a terminal, a log or a page might act upon, as they come over the wire. */
const RAW = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

interface Place {
  route: readonly [string, RouteDefinition];
  kind: 'params' | 'query' | 'body';
  path: readonly (string | number)[];
}

const nameOf = ({ route, kind, path }: Place): string => `${route[0]} ${kind} ${path.join('.')}`;

/** Every string that a caller gives, wherever it is. */
function placesOf(route: readonly [string, RouteDefinition]): Place[] {
  const [, definition] = route;
  return (['params', 'query', 'body'] as const).flatMap((kind) => {
    const schema = definition[kind];
    if (schema === undefined) return [];
    const whole = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
    return stringsIn(whole, []).map((path) => ({ route, kind, path }));
  });
}

const Shape = z.looseObject({
  type: z.string().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  additionalProperties: z.unknown().optional(),
  items: z.unknown().optional(),
  anyOf: z.array(z.unknown()).optional(),
  oneOf: z.array(z.unknown()).optional(),
});

function stringsIn(given: unknown, path: readonly (string | number)[]): (string | number)[][] {
  const shape = Shape.safeParse(given);
  if (!shape.success || path.length > 6) return [];
  const { properties, additionalProperties, items, anyOf = [], oneOf = [] } = shape.data;
  const found: (string | number)[][] = ['string', 'integer', 'number'].includes(shape.data.type ?? '')
    ? [[...path]]
    : [];
  for (const [name, inner] of Object.entries(properties ?? {}))
    found.push(...stringsIn(inner, [...path, name]));
  if (typeof additionalProperties === 'object')
    found.push([...path, 'KEY'], ...stringsIn(additionalProperties, [...path, 'name']));
  if (items !== undefined) found.push(...stringsIn(items, [...path, 0]));
  for (const inner of [...anyOf, ...oneOf]) found.push(...stringsIn(inner, path));
  return found;
}

/** The same value with something else at a path; `KEY` puts it in as a key. */
function placed(value: unknown, path: readonly (string | number)[], text: string): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return text;
  if (typeof step === 'number') return [placed(undefined, rest, text)];
  const fields: Record<string, unknown> = typeof value === 'object' && value !== null ? { ...value } : {};
  const name = step === 'KEY' ? text : step;
  return { ...fields, [name]: step === 'KEY' ? 'x' : placed(fields[name], rest, text) };
}

const Texts = z.record(z.string(), z.union([z.string(), z.number()]));

async function send(
  { c, names }: Target,
  { route, kind, path }: Place,
  text: string,
  token: string,
): Promise<Response> {
  const [, definition] = route;
  const params = Texts.parse(definition.params === undefined ? {} : fitting(definition.params, names));
  const last = String(path.at(-1));
  if (kind === 'params') params[last] = text;
  // A lone surrogate has no form in an address at all.
  const where = definition.path.replace(/\{(\w+)\}/g, (_all, name: string) =>
    encodeURIComponent(String(params[name]).toWellFormed()),
  );
  const query = kind === 'query' ? `?${new URLSearchParams([[last, text]]).toString()}` : '';
  const sample = definition.body === undefined ? undefined : fitting(definition.body, names);
  const body = kind === 'body' ? placed(sample, path, text) : sample;
  return await Promise.resolve(
    c.api.request(`${API_PREFIX}${where}${query}`, {
      method: definition.method,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
}

async function check(target: Target, place: Place, text: string, token: string): Promise<number> {
  const { c } = target;
  c.logged.length = 0;
  const answer = await send(target, place, text, token);
  const body = await answer.text();
  const what = `${place.route[0]} ${place.kind} ${place.path.join('.')} ${JSON.stringify(text).slice(0, 80)}: ${body.slice(0, 200)}`;
  expect(answer.status, what).not.toBe(500);
  expect(RAW.test(body), `raw characters in the answer to ${what}`).toBe(false);
  expect(
    [...answer.headers].some(([name, value]) => name === 'set-cookie' || RAW.test(value)),
    what,
  ).toBe(false);
  if (!answer.ok) {
    const { error } = ApiError.parse(JSON.parse(body));
    expect(error.message.length, what).toBeLessThan(25_000);
  }
  const lines = JSON.stringify(c.logged);
  expect(RAW.test(lines), `raw characters in the log of ${what}`).toBe(false);
  expect(lines.length, what).toBeLessThan(20_000);
  return answer.status;
}

/** These would end what the other cases speak of, whatever name is tried beside. */
const ENDS = new Set(['deleteTenant', 'deleteApp', 'removeHost', 'revokeToken']);

/** Puts hostile texts wherever a caller can put a text, and looks at what comes back and what is logged. */
export function hostileTexts(start: () => Promise<TestCoordinator>): void {
  let c: TestCoordinator;
  let names: Names;
  let tokens: string[];
  const target = (): Target => ({ c, names });
  beforeAll(async () => {
    c = await start();
    c.fleet.answer = (question) =>
      question.kind === 'logs' ? { kind: 'logs', lines: [] } : { kind: 'plan', steps: [] };
    names = await side(c, 'shop', 'acme', 'eu-1');
    const scope = { apps: ['shop'], pools: [], tenants: [] };
    const by = { actor: 'test', requestId: 'r' };
    tokens = [
      await c.token('admin'),
      (await c.services.access.create(by, { name: 'x', role: 'admin', scope })).token,
    ];
  });
  afterAll(async () => {
    await c.close();
  });

  test('in any path never gets further than 400 or 404, with the shape of every error', async () => {
    const places = ROUTES.flatMap(placesOf).filter((place) => place.kind === 'params');
    expect(places.length).toBeGreaterThan(40);
    for (const place of places)
      for (const token of tokens)
        for (const text of HOSTILE) {
          // The scoped caller is told of neither; a caller may not reach a route at all.
          const status = await check(target(), place, text, token);
          // Some are good names after all, such as "constructor"; and an address with ".." in it is another address, whose
          // own rules hold.
          if (/^([a-z0-9]{1,40}|\.\.?)$/.test(text)) continue;
          expect([400, 403, 404], `${place.route[0]} ${JSON.stringify(text).slice(0, 60)}`).toContain(status);
        }
  }, 60_000);

  test('anywhere in a query or a body breaks nothing inside and is never answered or logged raw', async () => {
    const places = ROUTES.filter(([name]) => !ENDS.has(name)).flatMap(placesOf);
    expect(places.length).toBeGreaterThan(120);
    const named = new Map(places.map((place) => [nameOf(place), place]));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...named.keys()),
        hostile,
        fc.constantFrom(...tokens),
        async (name, text, token) => {
          const place = named.get(name);
          if (place === undefined) return;
          await check(target(), place, text, token);
        },
      ),
      { numRuns: 1_500 },
    );
  }, 120_000);

  test('as a raw path over a socket is answered like any other that is not there', async () => {
    for (const path of [
      '/api/v1/tenants/%',
      '/api/v1/tenants/%zz',
      '/api/v1/tenants/%c0%ae%c0%ae',
      '/api/v1/tenants/..%2f..%2fapps',
      '/api/v1/%2e%2e/%2e%2e/etc/passwd',
      '//evil.example/api/v1/tenants',
      '/api/v1/tenants/%1b%5b2J',
      '/api/v1/tenants/%c2%9b31m',
      `/api/v1/tenants/${'a'.repeat(10_000)}`,
    ]) {
      const answer = await fetch(`${c.url}${path}`, { headers: { authorization: `Bearer ${tokens[0]}` } });
      const body = await answer.text();
      expect([400, 404], `${path}: ${body}`).toContain(answer.status);
      expect(() => ApiError.parse(JSON.parse(body)), path).not.toThrow();
      expect(RAW.test(body), path).toBe(false);
    }
  });
}
