import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hasOwnDocker, verbsOf } from '../src/local/started-by.ts';
import { sayWhatGoesOn } from '../src/local/still-answering.ts';

const tenants = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    tenant: `t${index}`,
    domain: `t${index}.localhost`,
    path: '/',
  }));

async function said(count: number, statusOf: (domain: string) => number): Promise<string[]> {
  const lines: string[] = [];
  const instance = { httpPort: 1 };
  const ask = async (_port: number, domain: string) => {
    const status = statusOf(domain);
    if (status === 0) throw new Error('no answer in 3 s');
    return await Promise.resolve({ status, body: '' });
  };
  await sayWhatGoesOn(instance, tenants(count), (line) => lines.push(line), ask);
  return lines;
}

test('after a stop every tenant is asked, and each that does not answer is named', async () => {
  const status: Record<string, number> = {
    't0.localhost': 200,
    't1.localhost': 503,
    't2.localhost': 0,
    't3.localhost': 421,
  };
  expect(await said(4, (domain) => status[domain] ?? 500)).toEqual([
    'coordinator and agent are stopped',
    'still answering without them: t0 (200)',
    't1 shows a maintenance page (503), t2 does not answer (no answer in 3 s)',
  ]);
});

test('many tenants are a few names and a number', async () => {
  const [, well] = await said(30, () => 200);
  expect(well).toMatch(/^still answering without them: t0 \(200\), .* and 22 more \(30 in all\)$/);
});

test('what npm start began is removed whole by npm stop, and so it is said', () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-verbs-'));
  try {
    expect(verbsOf({}, { dir })).toEqual({ start: 'berth up', remove: 'berth down' });
    expect(verbsOf({ BERTH_STARTED_BY: 'npm' }, { dir })).toEqual({ start: 'npm start', remove: 'npm stop' });
    expect(hasOwnDocker({ dir })).toBe(false);
    mkdirSync(join(dir, 'docker'));
    writeFileSync(join(dir, 'docker', 'daemon.json'), '{}');
    expect(hasOwnDocker({ dir })).toBe(true);
    expect(verbsOf({}, { dir }).remove).toBe('npm stop');
  } finally {
    rmSync(dir, { recursive: true });
  }
});
