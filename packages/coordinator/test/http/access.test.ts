import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RouteDefinition } from '@berth/shared/api/route';
import { API_PREFIX } from '@berth/shared/api/routes';
import { ApiError } from '@berth/shared/api/schemas';
import { EVERYTHING, type AccessScope } from '@berth/shared/domain/access';
import { BerthError } from '@berth/shared/domain/errors';
import { subjectIsInBody } from '../../src/services/access-guard.ts';
import type { Services } from '../../src/services/index.ts';
import { accessTable, expected, ROLES, ROUTES, type Outcome, type Whose } from '../support/access-table.ts';
import { testCoordinator, type TestCoordinator } from '../support/coordinator.ts';
import { fitting, type Names } from '../support/fitting.ts';
import { BY, hostId } from '../support/samples.ts';
import { side } from '../support/side.ts';

let c: TestCoordinator;
const names: Record<Whose, Names> = { own: {}, foreign: {}, unknown: {} };

const SCOPES = {
  all: EVERYTHING,
  apps: { ...EVERYTHING, apps: ['shop'] },
  pools: { ...EVERYTHING, pools: ['eu-1'] },
  tenants: { ...EVERYTHING, tenants: ['acme'] },
} as const satisfies Record<string, AccessScope>;
const KINDS = ['all', 'apps', 'pools', 'tenants'] as const;

/** Each caller that there can be: a deployer is bound to apps. */
const CALLERS = ROLES.flatMap((role) =>
  KINDS.filter((scope) => role !== 'deployer' || scope === 'apps').map((scope) => ({ role, scope })),
);

/** Whoever gets as far as a service has been let in; nothing is done, so that all can ask for everything. */
function onlyReached(real: Services): Services {
  const reached = (): never => {
    throw new BerthError('conflict', 'reached');
  };
  const silent = (service: object): object => new Proxy(service, { get: () => reached });
  return new Proxy(real, {
    get: (services, name) => {
      const service: unknown = Reflect.get(services, name);
      return name === 'access' || typeof service !== 'object' || service === null ? service : silent(service);
    },
  });
}

beforeAll(async () => {
  c = await testCoordinator({ services: onlyReached });
  names.own = await side(c, 'shop', 'acme', 'eu-1');
  names.foreign = await side(c, 'blog', 'globex', 'us-1');
  names.unknown = { app: 'nosuch', tenant: 'nosuch', pool: 'nosuch', host: hostId(9), rollout: '99' };
});
afterAll(async () => {
  await c.close();
});

const Params = z.record(z.string(), z.union([z.string(), z.number()]));

function request(route: RouteDefinition, of: Names, token: string | null): Promise<Response> {
  const params = Params.parse(route.params === undefined ? {} : fitting(route.params, of));
  const path = route.path.replace(/\{(\w+)\}/g, (_all, name: string) => String(params[name]));
  // A new tenant is put on no host of its own choice here: only its app, its pool and its name are asked about.
  const fields = route.on === 'new-tenant' ? { ...of, host: undefined } : of;
  const body = route.body === undefined ? undefined : fitting(route.body, clean(fields));
  return Promise.resolve(
    c.api.request(`${API_PREFIX}${path}`, {
      method: route.method,
      headers: {
        'content-type': 'application/json',
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
}

const clean = (fields: Readonly<Record<string, string | undefined>>): Names =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );

async function outcomeOf(
  route: RouteDefinition,
  response: Response,
): Promise<{ outcome: Outcome; message: string }> {
  if (response.status < 300) return { outcome: 'let in', message: '' };
  const { code, message } = ApiError.parse(await response.json()).error;
  // A body is looked at after the guard, except where it says what the request is about.
  if (code === 'invalid_request' && (subjectIsInBody(route) || message.startsWith('The path')))
    throw new Error(`the sample does not fit: ${message}`);
  if (code === 'unauthenticated') return { outcome: 'unauthenticated', message };
  if (code === 'forbidden') return { outcome: 'forbidden', message };
  if (code === 'not_found' && message.includes('that this token can see'))
    return { outcome: 'not there', message };
  return { outcome: 'let in', message };
}

describe('every route', () => {
  test('answers every role, with every scope, about its own, foreign and unknown things as the table says', async () => {
    const differences: string[] = [];
    let asked = 0;
    for (const caller of [null, ...CALLERS]) {
      const token =
        caller === null
          ? null
          : (
              await c.services.access.create(BY, {
                name: 'x',
                role: caller.role,
                scope: SCOPES[caller.scope],
              })
            ).token;
      for (const [name, route] of ROUTES) {
        if (route.access === 'public') continue;
        for (const whose of ['own', 'foreign', 'unknown'] as const) {
          asked += 1;
          const wanted = expected(route, caller, whose);
          const { outcome, message } = await outcomeOf(
            route,
            await request(route, names[whose], token),
          ).catch((thrown: unknown) => ({ outcome: String(thrown), message: '' }));
          if (outcome !== wanted)
            differences.push(
              `${name}, ${caller === null ? 'nobody' : `${caller.role} of ${caller.scope}`}, ${whose}: ${outcome} (${message}), not ${wanted}`,
            );
        }
      }
    }
    expect(differences).toEqual([]);
    expect(asked).toBeGreaterThan(1_500);
  }, 60_000);

  test('says the same of a foreign thing as of one that is not there', async () => {
    for (const scope of ['apps', 'pools', 'tenants'] as const) {
      const { token } = await c.services.access.create(BY, {
        name: 'x',
        role: 'admin',
        scope: SCOPES[scope],
      });
      for (const [name, route] of ROUTES) {
        if (expected(route, { role: 'admin', scope }, 'foreign') !== 'not there') continue;
        const answers = await Promise.all(
          (['foreign', 'unknown'] as const).map(async (whose) => {
            const response = await request(route, names[whose], token);
            let text = JSON.stringify(ApiError.parse(await response.json()).error);
            for (const value of Object.values(names[whose])) text = text.replaceAll(` ${value} `, ' NAME ');
            return { status: response.status, text: text.replace(/"requestId":"[^"]*"/, '') };
          }),
        );
        expect(answers[0], name).toEqual(answers[1]);
        expect(answers[0]?.status, name).toBe(404);
      }
    }
  });

  test('is in the page on access as it is in the table', () => {
    const page = new URL('../../../../docs/security/access.md', import.meta.url);
    const text = readFileSync(page, 'utf8');
    const [head, rest] = text.split('<!-- routes -->\n');
    const [present, tail] = (rest ?? '').split('<!-- /routes -->');
    const rows = accessTable();
    const line = (row: string[]): string => `| ${row.join(' | ')} |`;
    const table = [line(rows[0] ?? []), line((rows[0] ?? []).map(() => '---')), ...rows.slice(1).map(line)];
    if (process.env['BERTH_WRITE_DOCS'] === '1')
      writeFileSync(page, `${head}<!-- routes -->\n\n${table.join('\n')}\n\n<!-- /routes -->${tail}`);
    // How wide the columns are is the formatter's.
    const narrow = (given: string): string[] =>
      given
        .split('\n')
        .map((each) => each.replace(/\s+/g, ' ').replace(/-{3,}/g, '---').trim())
        .filter((each) => each !== '');
    expect(
      process.env['BERTH_WRITE_DOCS'] === '1' ? narrow(table.join('\n')) : narrow(present ?? ''),
      'write it anew: BERTH_WRITE_DOCS=1 npx vitest run packages/coordinator/test/http/access.test.ts',
    ).toEqual(narrow(table.join('\n')));
  });
});
