import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { berthIn, startCoordinator } from './support/berth.ts';

const berth = berthIn('berth-audit-');
let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => {
  coordinator = await startCoordinator(berth.dir);
  await berth.run(['login', coordinator.url, '--token', '-'], { stdin: coordinator.token });
  for (const name of ['ci', '=cmd()|x', 'another'])
    expect(await berth.run(['token', 'create', '--name', name, '--role', 'viewer'])).toMatchObject({
      code: 0,
    });
});
afterAll(async () => {
  await coordinator?.stop();
  berth.remove();
});

test('an audit is exported, checked offline and against the coordinator, and broken by one changed row', async () => {
  const head = await berth.run(['audit', 'head', '--json']);
  berth.file('head.json', head.stdout);
  const exported = await berth.run(['audit', 'export']);
  expect(exported).toMatchObject({ code: 0 });
  berth.file('audit.jsonl', exported.stdout);
  const records = exported.stdout.trimEnd().split('\n').length;
  expect(records).toBeGreaterThanOrEqual(4);
  expect(exported.stderr).toContain(`${records} records, up to ${records}:`);
  for (const argv of [[], ['--head', 'head.json'], ['--file', 'audit.jsonl', '--head', 'head.json']])
    expect(await berth.run(['audit', 'verify', ...argv]), argv.join(' ')).toMatchObject({ code: 0 });
  expect((await berth.run(['audit', '--by', 'first admin', '--action', 'token'])).stdout).toContain(
    'token.created',
  );
  expect((await berth.run(['audit', '--by', 'nobody'])).stdout).toBe('No record is like that.\n');

  const file = new Database(join(berth.dir, 'berth.db'));
  file.prepare(`update audit set "after" = replace("after", 'viewer', 'admin') where id = 3`).run();
  file.close();
  const broken = await berth.run(['audit', 'verify']);
  expect(broken.code).toBe(1);
  expect(broken.stdout).toContain('The audit is broken at record 3.');
  // What was exported before is as it was.
  expect(await berth.run(['audit', 'verify', '--file', 'audit.jsonl'])).toMatchObject({ code: 0 });
  expect(readFileSync(join(berth.dir, 'audit.jsonl'), 'utf8')).not.toContain('berth_api_');
});
