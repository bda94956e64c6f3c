import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const oxlint = join(root, 'node_modules', 'oxlint', 'bin', 'oxlint');
const Report = z.object({
  diagnostics: z.array(z.object({ message: z.string(), code: z.string(), filename: z.string() })),
});

const trees: string[] = [];
afterEach(async () => {
  for (const tree of trees.splice(0)) await rm(tree, { recursive: true, force: true });
});

/** Lints a tree of these files with Berth's own rules only. Resolves to `rule: message` lines. */
async function lint(files: Record<string, string>): Promise<string[]> {
  const tree = await mkdtemp(join(tmpdir(), 'berth-lint-'));
  trees.push(tree);
  const rules = { 'berth/rooms': 'error', 'berth/pure-rooms': 'error', 'berth/no-shell': 'error' };
  const config = { jsPlugins: [join(root, 'lint', 'rooms.js')], categories: { correctness: 'off' }, rules };
  await writeFile(join(tree, '.oxlintrc.json'), JSON.stringify(config));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(tree, path)), { recursive: true });
    await writeFile(join(tree, path), text);
  }
  const output = await new Promise<string>((resolve) => {
    // Exit code 1 says that there are findings; the report is on stdout all the same.
    execFile(process.execPath, [oxlint, '--format=json', '.'], { cwd: tree }, (_error, stdout) =>
      resolve(stdout),
    );
  });
  return Report.parse(JSON.parse(output)).diagnostics.map(({ code, message }) => `${code}: ${message}`);
}

describe('imports point one way', () => {
  test.each([
    [
      'shared imports no sibling',
      'shared/src/domain/a.ts',
      '@berth/agent/config',
      'shared/domain may not import agent/config.ts',
    ],
    [
      'the agent does not import the coordinator',
      'agent/src/main.ts',
      '@berth/coordinator/main',
      'agent may not import coordinator',
    ],
    [
      'the coordinator does not import the agent',
      'coordinator/src/http/a.ts',
      '@berth/agent/main',
      'may not import agent/main.ts',
    ],
    [
      'the cli imports shared only',
      'cli/src/main.ts',
      '@berth/coordinator/main',
      'cli may not import coordinator/main.ts',
    ],
    [
      'a room of the agent does not import another',
      'agent/src/report/a.ts',
      '../execute/docker/b.ts',
      'agent/report may not import agent/execute',
    ],
    [
      'only the loop joins the agent',
      'agent/src/execute/docker/a.ts',
      '../../loop/b.ts',
      'agent/execute may not import agent/loop',
    ],
    [
      'the planner does not read state',
      'agent/src/plan/a.ts',
      '../state/b.ts',
      'agent/plan may not import agent/state',
    ],
    [
      'services do not know the store',
      'coordinator/src/services/a.ts',
      '../store/b.ts',
      'coordinator/services may not import coordinator/store',
    ],
    [
      'http does not reach past services',
      'coordinator/src/http/a.ts',
      '../store/b.ts',
      'coordinator/http may not import coordinator/store',
    ],
    [
      'http and gateway are apart',
      'coordinator/src/gateway/a.ts',
      '../http/b.ts',
      'coordinator/gateway may not import coordinator/http',
    ],
  ])('%s', async (_name, path, specifier, expected) => {
    const forms = [
      `import { x } from '${specifier}'; export const y = x;`,
      `import type { X } from '${specifier}'; export type Y = X;`,
      `export * from '${specifier}';`,
      `export const later = () => import('${specifier}');`,
    ];
    const files = forms.map((line, i) => [`packages/${path.replace('.ts', `${i}.ts`)}`, line] as const);
    const found = await lint(Object.fromEntries(files));
    expect(found.filter((text) => text.startsWith('berth(rooms)') && text.includes(expected))).toHaveLength(
      4,
    );
  });

  test('what the house allows is not reported', async () => {
    const found = await lint({
      'packages/agent/src/loop/a.ts': `import { p } from '../plan/p.ts'; import { e } from '../execute/docker/e.ts'; export const a = [p, e];`,
      'packages/agent/src/execute/nginx/a.ts': `import { b } from '../b.ts'; import { s } from '../../state/s.ts'; import { z } from 'zod'; import { readFile } from 'node:fs/promises'; import { d } from '@berth/shared/domain/spec'; export const a = [b, s, z, d, readFile];`,
      'packages/coordinator/src/store/a.ts': `import type { S } from '../services/s.ts'; export type A = S;`,
      'packages/coordinator/src/main.ts': `import { s } from './store/s.ts'; import { h } from './http/h.ts'; export const a = [s, h];`,
      'packages/cli/src/commands/a.ts': `import { o } from '../output/o.ts'; import { c } from '@berth/shared/api/client'; export const a = [o, c];`,
    });
    expect(found).toEqual([]);
  });
});

describe('a pure room', () => {
  test.each([
    ['the clock', 'export const now = () => Date.now();', 'no Date'],
    ['a new Date', 'export const now = () => new Date();', 'no Date'],
    ['performance', 'export const now = () => performance.now();', 'no performance'],
    ['randomness', 'export const r = () => Math.random();', 'no Math.random'],
    ['crypto', 'export const r = () => crypto.randomUUID();', 'no crypto'],
    [
      'node: modules',
      `import { readFileSync } from 'node:fs'; export const r = readFileSync;`,
      'it may not import node:fs',
    ],
    ['packages', `import { z } from 'zod'; export const r = z;`, 'it may not import zod'],
    ['the process', 'export const r = () => process.env;', 'no process'],
    ['timers', 'export const r = () => setTimeout(() => {}, 1);', 'no setTimeout'],
    ['async functions', 'export async function f() { return 1; }', 'no async function'],
    ['await', 'export const f = async (x: PromiseLike<number>) => { await x; };', 'no await'],
    ['promises', 'export const f = () => Promise.resolve(1);', 'no Promise'],
    ['import()', `export const f = () => import('./b.ts');`, 'no import()'],
  ])('may not use %s', async (_name, line, expected) => {
    const rooms = ['agent/src/plan', 'agent/src/machine'];
    const found = await lint(Object.fromEntries(rooms.map((room) => [`packages/${room}/a.ts`, line])));
    for (const room of ['agent/plan', 'agent/machine']) {
      expect(found.join('\n')).toContain(`${room} is a pure room: ${expected}`);
    }
  });

  test('may have names of its own that sound alike, and other rooms may use all of it', async () => {
    const pure = `export type T = { process: string; Date: number };
      export const f = (t: T, process: string, clock: { now(): number }) => [t.process, t.Date, process, clock.now(), Math.max(1, 2)];`;
    const other = `export const f = async () => { await Promise.resolve(Date.now() + Math.random()); return process.pid; };`;
    expect(
      await lint({ 'packages/agent/src/plan/a.ts': pure, 'packages/agent/src/observe/a.ts': other }),
    ).toEqual([]);
  });
});

describe('shells', () => {
  test.each([
    ['exec', `import { exec } from 'node:child_process'; export const a = exec;`, 'exec runs one'],
    [
      'a namespace',
      `import * as c from 'child_process'; export const a = () => c.execSync('ls');`,
      'execSync runs one',
    ],
    [
      'the shell option',
      `import { spawn } from 'node:child_process'; export const a = () => spawn('ls', [], { shell: true });`,
      'the shell option',
    ],
    [
      'sh -c',
      `import { execFile } from 'node:child_process'; export const a = () => execFile('/bin/sh', ['-c', 'ls']);`,
      '/bin/sh -c is one',
    ],
  ])('are refused: %s', async (_name, line, expected) => {
    const found = await lint({ 'packages/agent/src/execute/a.ts': line, 'scripts/b.mjs': line });
    expect(found.filter((text) => text.includes(expected))).toHaveLength(2);
  });

  test('argument arrays are fine, and so is exec of a regular expression', async () => {
    const line = `import { execFile } from 'node:child_process'; export const a = (s: string) => [execFile('ls', ['-l'], { shell: false }), /x/.exec(s)];`;
    expect(await lint({ 'packages/agent/src/execute/a.ts': line })).toEqual([]);
  });
});
