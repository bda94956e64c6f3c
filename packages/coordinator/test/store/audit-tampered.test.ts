import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ChainHead } from '@berth/shared/domain/audit';
import type { Store } from '../../src/services/store.ts';
import { openStore } from '../../src/store/open.ts';
import { faultOf } from '../support/audit.ts';

/** Somebody who can write the database file changes the audit behind the coordinator's back. */

const RECORDS = 20;
let dir: string;
let store: Store;
let file: Database.Database;
let kept: ChainHead;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'berth-audit-'));
  const path = join(dir, 'berth.db');
  store = await openStore({ kind: 'sqlite', path });
  for (let n = 1; n <= RECORDS; n++) {
    await store.mutate({ actor: `token:t_${n} ci`, requestId: `r-${n}` }, n, async (tx) => {
      await tx.insertApp(`app-${n}`, n);
      const after = { release: n, labels: { commit: `c${n}` } };
      return { result: null, audit: { action: 'app.created', subject: `app-${n}`, before: null, after } };
    });
  }
  kept = await store.auditHead();
  file = new Database(path);
});
afterEach(async () => {
  file.close();
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

const any = fc.integer({ min: 1, max: RECORDS });
const column = fc.constantFrom('actor', 'action', 'subject', 'request_id', 'before', 'after', 'hash');
const tampering = fc.oneof(
  fc
    .tuple(any, column)
    .map(([id, name]) => [`update audit set "${name}" = "${name}" || ' ' where id = ${id}`]),
  fc
    .tuple(any, column)
    .map(([id, name]) => [`update audit set "${name}" = 'null' || "${name}" where id = ${id}`]),
  any.map((id) => [`update audit set at = at + 1 where id = ${id}`]),
  // The same value to whoever parses it, and not what was written.
  any.map((id) => [`update audit set "after" = '{"release":0,' || substr("after", 2) where id = ${id}`]),
  any.map((id) => [`update audit set "after" = replace("after", ':', ': ') where id = ${id}`]),
  any.map((id) => [`delete from audit where id = ${id}`]),
  any.map((id) => [`delete from audit where id >= ${id}`]),
  any.map((id) => [`delete from audit where id <= ${id}`]),
  any.map((id) => [
    `delete from audit where id >= ${id}`,
    `update meta set last_audit = ${id - 1}, audit_head = coalesce((select hash from audit where id = ${id - 1}), '${'0'.repeat(64)}')`,
  ]),
  any.map((id) => [
    `insert into audit select ${RECORDS} + ${id}, at, actor, action, subject, request_id, "before", "after", hash from audit where id = ${id}`,
  ]),
  fc
    .tuple(any, any)
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => [
      `update audit set id = -1 where id = ${a}`,
      `update audit set id = ${a} where id = ${b}`,
      `update audit set id = ${b} where id = -1`,
    ]),
  any.map((id) => [
    `delete from audit where id = ${id}`,
    `update audit set id = -id where id > ${id}`,
    `update audit set id = -id - 1 where id < 0`,
    `update meta set last_audit = last_audit - 1`,
  ]),
  fc.constant([`update meta set audit_head = '${'a'.repeat(64)}'`]),
  any.map((less) => [`update meta set last_audit = last_audit - ${less}`]),
);

test('whatever is changed, deleted, inserted, moved or cut off is found, with its first record', async () => {
  expect(await faultOf(store, [kept])).toBeNull();
  await fc.assert(
    fc.asyncProperty(tampering, async (statements) => {
      file.exec(
        'create table audit_kept as select * from audit; create table meta_kept as select * from meta',
      );
      try {
        for (const statement of statements) file.exec(statement);
        const fault = await faultOf(store, [kept]);
        expect(fault, statements.join('; ')).not.toBeNull();
        expect(fault?.message).toMatch(/record/i);
      } finally {
        file.exec(`delete from audit; insert into audit select * from audit_kept; drop table audit_kept;
          update meta set (last_audit, audit_head) = (select last_audit, audit_head from meta_kept); drop table meta_kept`);
      }
      expect(await faultOf(store, [kept])).toBeNull();
    }),
    { numRuns: 120 },
  );
});

test('what is no JSON any more is shown as it is, and breaks no list', async () => {
  file.exec(`update audit set "after" = '{"release":' where id = 3`);
  expect((await store.auditAfter(2, 1))[0]?.after).toEqual({ unreadable: '{"release":' });
  expect(await faultOf(store)).toMatchObject({ kind: 'changed', record: 3 });
});

test('a chain that goes on after it was broken stays broken at the same record', async () => {
  file.exec(`update audit set subject = 'other' where id = 5`);
  await store.mutate({ actor: 'x', requestId: '' }, 1, async (tx) => {
    await tx.insertApp('later', 1);
    return { result: null, audit: { action: 'app.created', subject: 'later', before: null, after: null } };
  });
  expect(await faultOf(store)).toMatchObject({ kind: 'changed', record: 5 });
});

test('when the record cannot be written, the change is not there either', async () => {
  file.exec(`create trigger no_audit before insert on audit begin select raise(abort, 'injected'); end`);
  const change = () =>
    store.mutate({ actor: 'x', requestId: '' }, 1, async (tx) => {
      await tx.insertApp('later', 1);
      return { result: null, audit: { action: 'app.created', subject: 'later', before: null, after: null } };
    });
  await expect(change()).rejects.toThrow('injected');
  expect(await store.app('later')).toBeNull();
  expect(await store.auditHead()).toEqual(kept);
  file.exec('drop trigger no_audit');
  await change();
  expect(await store.app('later')).not.toBeNull();
  expect(await faultOf(store, [kept])).toBeNull();
});
