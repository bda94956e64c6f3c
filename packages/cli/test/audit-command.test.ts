import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChainedAuditRecord } from '@berth/shared/api/audit';
import { CHAIN_START, chainHash, type ChainHead } from '@berth/shared/domain/audit';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

const RECORDS = 2_345;
const NOW = Date.UTC(2026, 10, 20, 12);

function chained(actors: readonly string[], given: Partial<ChainedAuditRecord> = {}): ChainedAuditRecord[] {
  let { hash } = CHAIN_START;
  return actors.map((actor, index) => {
    const record = {
      id: index + 1,
      at: Date.UTC(2026, 10, 20, 6, 49, index + 1),
      actor,
      action: 'tenant.changed',
      subject: 'acme',
      requestId: 'r',
      before: null,
      after: { release: index },
      ...given,
    };
    hash = chainHash(hash, record);
    return { ...record, hash };
  });
}
const headOf = (records: readonly ChainedAuditRecord[]): ChainHead => {
  const last = records.at(-1);
  return last === undefined ? CHAIN_START : { number: last.id, hash: last.hash };
};
const text = (head: ChainHead): string => `${head.number}:${head.hash}`;

/** What the coordinator has; tests damage it. */
let records: ChainedAuditRecord[];
let head: ChainHead;
let dir: string;
let fake: Awaited<ReturnType<typeof fakeApi>>;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'berth-audit-'));
  records = chained(['rollout:7', 'token:t_andtmh1qitdm ci\u001b[2J']);
  head = headOf(records);
  fake = await fakeApi({
    listAudit({ query }) {
      const limit = Number(query['limit'] ?? 100);
      const { after } = query;
      const items =
        after === undefined
          ? records.toReversed().slice(0, limit)
          : records.filter(({ id }) => id > Number(after)).slice(0, limit);
      return { items, head };
    },
  });
});
afterEach(async () => {
  await fake.close();
  rmSync(dir, { recursive: true, force: true });
});
const berth = (...argv: string[]) => run(fake.url, ['audit', ...argv], { now: () => NOW });
const many = (): void => {
  records = chained(Array.from({ length: RECORDS }, (_, n) => `token:t_${n} ci`));
  head = headOf(records);
};
const file = (name: string, content: string): string => {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
};

test('audit names the token that somebody came with; its id is in the JSON', async () => {
  const { out } = await berth();
  expect(out).toBe(
    [
      'ID  WHEN                 WHO                 WHAT            SUBJECT',
      '2   2026-11-20 06:49:02  ci                  tenant.changed  acme',
      '1   2026-11-20 06:49:01  rollout 7 (system)  tenant.changed  acme\n',
    ].join('\n'),
  );
  expect((await berth('--json')).out).toContain('token:t_andtmh1qitdm ci');
});

test('audit list is the same as audit, with the same options', async () => {
  const short = await run(fake.url, ['audit', '--limit', '1', '--by', 'ci']);
  const long = await run(fake.url, ['audit', 'list', '--limit', '1', '--by', 'ci']);
  expect(long).toEqual(short);
  expect(long.code).toBe(0);
  const [first, second] = fake.askedOf('listAudit');
  expect(second).toEqual(first);
  expect(second?.query).toMatchObject({ limit: '1', by: 'ci' });
  expect(await run(fake.url, ['audit', 'lists'])).toMatchObject({ code: 2 });
});

test('names cannot break the table: no control characters, no line ends, no turned lines', async () => {
  records = chained(['token:t_1 a\nb\u009b2J\u202edc'], {
    subject: 'x\ty\u001b]0;title\u0007',
    action: 'a\rb',
  });
  const { out } = await berth();
  expect(out.split('\n')[1]).toBe('1   2026-11-20 06:49:01  a bdc  ab    x y');
});

test('what is asked for is sent as it is, and older records are pointed to', async () => {
  const { out } = await berth(
    '--by',
    'ci',
    '--action',
    'tenant',
    '--subject',
    'acme',
    '--since',
    '7d',
    '--limit',
    '1',
  );
  expect(fake.askedOf('listAudit')[0]?.query).toEqual({
    by: 'ci',
    action: 'tenant',
    subject: 'acme',
    since: String(NOW - 7 * 86_400_000),
    limit: '1',
  });
  expect(out).toContain('Older ones: add --before 2');
  await berth('--since', '2026-11-20 06:30');
  expect(fake.askedOf('listAudit')[1]?.query['since']).toBe(String(Date.UTC(2026, 10, 20, 6, 30)));
  const wrong = await berth('--since', 'yesterday');
  expect(wrong).toMatchObject({ code: 2 });
  expect(wrong.err).toContain('--since must be a time ago such as 7d');
});

describe('audit export', () => {
  test('writes every record as one harmless line, page by page, and can go on later', async () => {
    many();
    const whole = await berth('export');
    const lines = whole.out.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(records);
    expect(whole.err).toContain(`${RECORDS} records, up to ${text(head)}`);
    expect(fake.askedOf('listAudit').map(({ query }) => query['after'])).toEqual(['0', '1000', '2000']);
    const rest = await berth('export', '--after', '2000', '--json');
    expect(rest.out).toBe(`${lines.slice(2000).join('\n')}\n`);
    expect((await berth('export', '--after', String(RECORDS))).out).toBe('');
  });

  test('escapes what JSON would let through to a terminal; the record is the same', async () => {
    records = chained(['token:t_1 \u001b[2J\u009b2J\u202e\u2028"=1+1'], {
      subject: '=cmd()',
      after: { 'a\u0085': '\ud800' },
    });
    const { out } = await berth('export');
    expect(out).toMatch(/^[\u0020-\u007e]+\n$/);
    expect(JSON.parse(out)).toEqual(records[0]);
  });
});

describe('audit verify', () => {
  test('reads the whole chain and says its head, which is to be kept', async () => {
    many();
    const { code, out } = await berth('verify');
    expect(code).toBe(0);
    expect(out).toBe(
      `The audit is intact: records 1 to ${RECORDS}.\nKeep the head elsewhere, and give it with --head next time: ${text(head)}\n`,
    );
    const json = JSON.parse((await berth('verify', '--json')).out) as unknown;
    expect(json).toEqual({ result: 'intact', checked: RECORDS, from: CHAIN_START, head, fault: null });
    expect((await berth('head')).out).toBe(`${text(head)}\n`);
  });

  test('names the first bad record and ends with 1', async () => {
    many();
    const good = records;
    const broken: [string, ChainedAuditRecord[], RegExp][] = [
      [
        'changed',
        good.with(1499, { ...(good[1499] ?? fail()), subject: 'globex' }),
        /at record 1500\. Record 1500 is not what was written.* Up to record 1499 nothing is wrong/,
      ],
      ['deleted', good.toSpliced(1003, 1), /at record 1004\. Record 1004 is missing before record 1005/],
      [
        'cut off',
        good.slice(0, 1000),
        /at record 1001\. The head is record 2345, and the records end with 1000/,
      ],
      ['emptied', [], /at record 1\. The head is record 2345/],
    ];
    for (const [what, left, message] of broken) {
      records = left;
      const { code, out } = await berth('verify');
      expect(code, what).toBe(1);
      expect(out, what).toMatch(message);
    }
    const json = JSON.parse((await berth('verify', '--json')).out) as unknown;
    expect(json).toMatchObject({ result: 'broken', fault: { kind: 'cut-off', record: 1 } });
  });

  test('finds a chain that was made anew, or cut off with its head, by a head that was kept', async () => {
    many();
    const kept = file('head.json', JSON.stringify(head));
    const early = text(headOf(records.slice(0, 10)));
    records = chained(records.map(({ actor }, n) => (n === 42 ? 'token:t_1 somebody else' : actor)));
    head = headOf(records);
    expect((await berth('verify', '--head', early)).code).toBe(0);
    const anew = await berth('verify', '--head', early, '--head', kept);
    expect(anew.code).toBe(1);
    expect(anew.out).toContain(`Record ${RECORDS} has another hash than in the head that was kept`);
    records = records.slice(0, 20);
    head = headOf(records);
    expect((await berth('verify')).code).toBe(0);
    const short = await berth('verify', '--head', kept);
    expect(short.code).toBe(1);
    expect(short.out).toContain(`A head was kept of record ${RECORDS}, and the records end with 20`);
    const from = await berth('verify', '--from', kept);
    expect(from.code).toBe(1);
    expect(from.out).toContain(`A head was kept of record ${RECORDS}, and the records end with 20`);
  });

  test('begins after a head when it is told to, and says what it did not look at', async () => {
    many();
    const from = headOf(records.slice(0, 2000));
    records = records.with(0, { ...(records[0] ?? fail()), subject: 'changed before' });
    const { code, out } = await berth('verify', '--from', text(from));
    expect(code).toBe(0);
    expect(out).toContain(`records 2001 to ${RECORDS}. Records 1 to 2000 were not looked at.`);
    const verified = file('verified.json', (await berth('verify', '--from', text(from), '--json')).out);
    expect((await berth('verify', '--from', verified)).out).toContain('intact: no records.');
  });

  test('checks an export without a coordinator, also in parts', async () => {
    many();
    const { out } = await berth('export');
    const lines = out.trimEnd().split('\n');
    const offline = (...argv: string[]) => run('http://127.0.0.1:9', ['audit', 'verify', ...argv]);
    const whole = file('audit.jsonl', out);
    const good = await offline('--file', whole, '--head', text(head));
    expect(good).toMatchObject({ code: 0 });
    expect(good.out).toContain('Whether more of them were written, a file does not say.');
    const one = file('1.jsonl', `${lines.slice(0, 700).join('\r\n')}\n`);
    const two = file('2.jsonl', lines.slice(700).join('\n'));
    expect((await offline('--file', one, '--file', two)).code).toBe(0);
    expect((await offline('--file', two, '--file', one)).out).toContain('Records 1 to 700 are missing');
    expect((await offline('--file', one, '--head', text(head))).out).toContain('the records end with 700');
    const damaged = file('damaged.jsonl', lines.with(4, '{"id":5').join('\n'));
    const result = await offline('--file', damaged);
    expect(result.code).toBe(1);
    expect(result.out).toMatch(/broken at record 5\. Line 5 of .* is no record: it is not JSON/);
    for (const [path, why] of [
      [join(dir, 'nowhere'), 'there is no such file'],
      [dir, 'it is a directory'],
    ] as const)
      expect(await offline('--file', path)).toMatchObject({
        code: 2,
        err: expect.stringContaining(`--file ${path} could not be read: ${why}.`),
      });
  });

  test('an export without a record is not intact; an audit without one is', async () => {
    const offline = (...argv: string[]) => run('http://127.0.0.1:9', ['audit', 'verify', ...argv]);
    for (const content of ['', '\n\n']) {
      const empty = file('empty.jsonl', content);
      const { code, out } = await offline('--file', empty);
      expect(code).toBe(1);
      expect(out).toContain(`There is no record in ${empty}.`);
      expect(out).not.toContain('intact');
    }
    const json = await offline('--file', file('empty.jsonl', ''), '--json');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out)).toMatchObject({ result: 'empty', checked: 0, fault: null });
    records = [];
    head = CHAIN_START;
    const asked = await berth('verify');
    expect(asked).toMatchObject({ code: 0 });
    expect(asked.out).toContain('intact: no records.');
  });

  test('refuses what is no head', async () => {
    const wrong: [string[], RegExp][] = [
      [['--head', '5:abc'], /a head is a number/],
      [['--head', join(dir, 'nowhere')], /there is no such file/],
      [['--head', 'rubbish'], /--head rubbish is neither a head .* nor a file with one.*no such file/],
      [['--from', ''], /--from {2}is neither a head/],
      [['--from', file('x.json', '{}')], /holds no head/],
      [['--from', text({ ...head, number: 9 }), '--head', text(head)], /before --from 9/],
    ];
    for (const [argv, message] of wrong) {
      const { code, err } = await berth('verify', ...argv);
      expect(code, argv.join(' ')).toBe(2);
      expect(err).toMatch(message);
    }
  });
});

function fail(): never {
  throw new Error('there is no such record');
}
