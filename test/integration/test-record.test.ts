import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';

const Module = z.object({
  testKey: z.custom<(root: string) => string | undefined>((value) => typeof value === 'function'),
  readRecord: z.custom<(home: string) => unknown>((value) => typeof value === 'function'),
  writeRecord: z.custom<(home: string, record: object) => void>((value) => typeof value === 'function'),
});
const loaded: unknown = await import(new URL('../../scripts/test/record.mjs', import.meta.url).href);
const { testKey, readRecord, writeRecord } = Module.parse(loaded);

describe('the memory of a test run', () => {
  let tree: string;
  beforeEach(() => {
    tree = mkdtempSync(join(tmpdir(), 'berth-record-'));
    execFileSync('git', ['init', '-q', tree]);
    writeFileSync(join(tree, '.gitignore'), 'ignored\n');
    writeFileSync(join(tree, 'source.ts'), 'one');
  });
  afterEach(() => rmSync(tree, { recursive: true, force: true }));

  test('is of one tree: a changed, a new and a removed file make it another, documentation does not', () => {
    const key = testKey(tree);
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    writeFileSync(join(tree, 'README.md'), 'words');
    writeFileSync(join(tree, 'ignored'), 'words');
    expect(testKey(tree)).toBe(key);
    writeFileSync(join(tree, 'more.ts'), 'two');
    expect(testKey(tree)).not.toBe(key);
    rmSync(join(tree, 'more.ts'));
    expect(testKey(tree)).toBe(key);
    writeFileSync(join(tree, 'source.ts'), 'other');
    expect(testKey(tree)).not.toBe(key);
  });

  test('is none where Git does not know the tree, or the record is torn', () => {
    rmSync(join(tree, '.git'), { recursive: true });
    expect(testKey(tree)).toBeUndefined();
    writeRecord(tree, { key: 'k', line: '1 passed, 0 failed, 0 skipped', at: 'now', seconds: 1 });
    expect(readRecord(tree)).toMatchObject({ key: 'k' });
    writeFileSync(join(tree, 'test-record.json'), '{"key":');
    expect(readRecord(tree)).toBeUndefined();
  });
});
