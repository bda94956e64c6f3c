import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, test } from 'vitest';
import { API_PREFIX } from '@berth/shared/api/routes';
import { openVault } from '../../src/secrets/vault.ts';
import type { AuditRow } from '../../src/services/records.ts';
import { ROUTES } from '../support/access-table.ts';
import { faultOf } from '../support/audit.ts';
import { MAPS, REVIEWED } from '../support/audit-fields.ts';
import {
  AUDIT_CASES,
  PLANTED,
  PLANTED_BYTES,
  type AuditCase,
  type AuditWorld,
} from '../support/audit-cases.ts';
import { testCoordinator } from '../support/coordinator.ts';
import { FakePostgres } from '../../../../test/fakes/postgres.ts';
import { fitting, type Names } from '../support/fitting.ts';
import { hostId } from '../support/samples.ts';
import { side } from '../support/side.ts';

/** Every route of the table that is not a GET: one that is new is here at once, and needs a case when it is refused. */
const CHANGING = ROUTES.filter(([, route]) => route.method !== 'GET');
const CASES = new Map<string, AuditCase>(Object.entries(AUDIT_CASES));

const UNKNOWN: Names = {
  app: 'nosuch',
  tenant: 'nosuch',
  pool: 'nosuch',
  host: hostId(9),
  rollout: '99',
  id: 't_nosuch',
  server: 'nosuch',
};

const seen: AuditRow[] = [];
const fields = new Set<string>();

/** A coordinator on a file, which the test can look into and damage. */
async function withWorld(work: (world: AuditWorld, file: Database.Database) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'berth-invariant-'));
  const path = join(dir, 'berth.db');
  try {
    const vault = openVault({ keyFile: join(dir, 'secret-keys'), kms: null });
    const c = await testCoordinator({ path, vault, postgres: new FakePostgres() });
    const file = new Database(path);
    try {
      await work({ c, names: await side(c, 'shop', 'acme', 'eu-1') }, file);
      seen.push(...(await c.store.audit(undefined, 1_000)));
      expect(await faultOf(c.store)).toBeNull();
    } finally {
      file.close();
      await c.close();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** All that is kept, but for what is no mutation: when a token was last used, and that the store was tried. */
function snapshot(file: Database.Database): string {
  const tables = file
    .prepare<[], { name: string }>(`select name from sqlite_master where type = 'table' order by name`)
    .all();
  return JSON.stringify(
    tables.map(({ name }) => [
      name,
      file
        .prepare<[], Record<string, unknown>>(`select * from "${name}"`)
        .all()
        .map(({ last_used_at: _used, probed_at: _probed, ...row }) => row),
    ]),
  );
}

describe('one mutation, one audit record', () => {
  test.each(CHANGING)(
    '%s',
    async (name, route) => {
      const given = CASES.get(name) ?? {};
      await withWorld(async (world, file) => {
        const { c } = world;
        await given.prepare?.(world);
        const names: Names = {
          ...world.names,
          id: 't_nosuch',
          release: '1',
          ...(await given.params?.(world)),
        };
        const tokens = {
          viewer: await c.token('viewer'),
          deployer: await c.token('deployer'),
          operator: await c.token('operator'),
          admin: await c.token('admin'),
        };
        const body =
          given.body?.(world) ?? (route.body === undefined ? undefined : fitting(route.body, names));
        let asked = 0;
        const send = async (of: Names, token: string | null, what: unknown) => {
          const requestId = `ask-${(asked += 1)}`;
          const response = await c.api.request(
            `${API_PREFIX}${route.path.replace(/\{(\w+)\}/g, (_all, param: string) => of[param] ?? 'x')}`,
            {
              method: route.method,
              headers: {
                'content-type': 'application/json',
                'x-request-id': requestId,
                ...(token === null ? {} : { authorization: `Bearer ${token}` }),
              },
              ...(route.body === undefined ? {} : { body: JSON.stringify(what) }),
            },
          );
          const records = (await c.store.audit(undefined, 1_000)).filter(
            (row) => row.requestId === requestId,
          );
          return { status: response.status, text: await response.text(), records };
        };
        const good = route.access === 'public' ? null : tokens[route.access];

        // Refused: no token, a role below, a wrong body, a thing that is not there.
        const before = snapshot(file);
        const below = {
          admin: tokens.operator,
          operator: tokens.deployer,
          deployer: tokens.viewer,
          viewer: null,
          public: null,
        }[route.access];
        const refused = [
          ...(good === null ? [] : [await send(names, null, body), await send(names, below, body)]),
          ...(route.body === undefined ? [] : [await send(names, good, { surprise: PLANTED })]),
          ...(/\{(?!release|from|to)\w+\}/.test(route.path) && given.unknown !== 'made'
            ? [await send({ ...names, ...UNKNOWN }, tokens.admin, body)]
            : []),
        ];
        for (const answer of refused) {
          expect(answer.status, answer.text).toBeGreaterThanOrEqual(400);
          expect(answer.status, answer.text).toBeLessThan(500);
          expect(answer.records).toEqual([]);
        }
        expect(snapshot(file), 'a refused request changes nothing').toBe(before);

        if (given.elsewhere !== undefined) {
          const text = readFileSync(new URL(`../../../../${given.elsewhere}`, import.meta.url), 'utf8');
          expect(text).toMatch(/audit/i);
          return;
        }
        if (given.effect === 'none') {
          const answer = await send(names, good, body);
          expect(answer.status, answer.text).toBe(given.status ?? route.status);
          expect(answer.records).toEqual([]);
          expect(snapshot(file), 'it makes no change').toBe(before);
          return;
        }

        // The record cannot be written.
        file.exec(
          `create trigger no_audit before insert on audit begin select raise(abort, 'injected'); end`,
        );
        const failed = await send(names, good, body);
        file.exec('drop trigger no_audit');
        expect(failed.status, `${failed.text} Is it refused? Give ${name} a case in audit-cases.ts.`).toBe(
          500,
        );
        expect(failed.records).toEqual([]);
        expect(snapshot(file), 'without its record the change is not there').toBe(before);

        // And now it can.
        const done = await send(names, good, body);
        expect(done.status, done.text).toBe(route.status);
        expect(done.records).toHaveLength(1);
        expect(snapshot(file)).not.toBe(before);
        const [record] = done.records;
        if (record === undefined) throw new Error('there is a record');
        if (good !== null) expect(record.actor).toMatch(new RegExp(`^token:t_\\w+ ${route.access}$`));
        expect(record.action).toMatch(/^[a-z-]+\.[a-z-]+$/);
        expect(record.subject).not.toBe('');
        gather(record.before);
        gather(record.after);

        // Once more: either it is a change again, with a record, or nothing at all.
        const between = snapshot(file);
        const again = await send(names, good, body);
        expect(again.records.length, again.text).toBe(snapshot(file) === between ? 0 : 1);
      });
    },
    30_000,
  );
});

function gather(value: unknown): void {
  if (Array.isArray(value)) value.forEach(gather);
  else if (typeof value === 'object' && value !== null)
    for (const [name, item] of Object.entries(value)) {
      fields.add(name);
      if (!MAPS.has(name)) gather(item);
    }
}

describe('what is on record', () => {
  afterAll(() => {
    seen.length = 0;
  });

  test('holds no value that was planted, no token, no file', () => {
    expect(seen.length).toBeGreaterThan(CHANGING.length);
    const text = JSON.stringify(seen);
    expect(text).not.toContain(PLANTED);
    expect(text).not.toContain(PLANTED.replace('-', ''));
    expect(text).not.toContain(PLANTED_BYTES);
    expect(text).not.toMatch(/berth_[a-z]+_\w{16}/);
    expect(text).not.toContain('services:\\n');
  });

  test('has only fields that somebody has looked at', () => {
    const fresh = [...fields].filter((field) => !REVIEWED.has(field));
    expect(fresh, 'see that they hold no secret, and name them in audit-fields.ts').toEqual([]);
  });
});
