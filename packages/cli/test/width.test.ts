import type { Command } from 'commander';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checksView } from '../src/commands/doctor.ts';
import { createOutput } from '../src/output/output.ts';
import { styleOf, widthOf } from '../src/output/style.ts';
import { createProgram } from '../src/program.ts';
import { CASES, KEY, NOT_RUN, type Case } from './support/every-command.ts';
import { fakeApi } from './support/fake-api.ts';
import { event, IMAGE, NOW, REASON, tenant } from './support/long.ts';
import { run } from './support/run.ts';
import { keptOutput } from './support/sink.ts';

const WIDTH = 80;
let dir = '';
const keys = generateKeyPairSync('ed25519', {
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-width-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Every command that does something, by its words: `tenant secret set`. */
function commandsOf(command: Command, words: readonly string[] = []): { name: string; command: Command }[] {
  const below = command.commands.flatMap((child) => commandsOf(child, [...words, child.name()]));
  const acts = typeof Reflect.get(command, '_actionHandler') === 'function';
  return acts ? [{ name: words.join(' '), command }, ...below] : below;
}

function program(): { root: Command; written: { out: string; err: string } } {
  const { output, written } = keptOutput('human', 'terminal', WIDTH);
  const root = createProgram(output, () => {
    throw new Error('Nothing is run here.');
  });
  return { root, written };
}

const wideIn = (text: string): string[] =>
  stripVTControlCharacters(text)
    .split(/[\n\r]/)
    .filter((line) => widthOf(line) > WIDTH);

async function ran(name: string, one: Case, tty: 'terminal' | 'pipe') {
  const fake = await fakeApi(one.answers);
  try {
    // What a change waits for comes at once.
    fake.emit(event({ id: 1 }));
    fake.emit(
      event({
        id: 2,
        kind: 'tenant.step',
        message: `image ${IMAGE}`,
        details: { step: 'a', state: 'started' },
      }),
    );
    fake.emit(
      event({
        id: 3,
        kind: 'tenant.step',
        message: REASON,
        details: { step: 'a', state: 'failed', ms: 5000 },
      }),
    );
    fake.emit(event({ id: 4, kind: 'tenant.failed' }));
    const argv = [...name.split(' '), ...one.argv];
    const cwd = mkdtempSync(join(dir, 'cwd-'));
    writeFileSync(join(cwd, 'compose.yaml'), 'name: shop\nservices:\n  web:\n    image: shop:1\n');
    writeFileSync(join(cwd, `${KEY}.key`), keys.privateKey, { mode: 0o600 });
    writeFileSync(join(cwd, `${KEY}.pub`), keys.publicKey);
    writeFileSync(join(cwd, 'server.url'), 'postgres://a:b@db.test', { mode: 0o600 });
    return await run(fake.url, argv, { tty, columns: WIDTH, now: () => NOW, cwd });
  } finally {
    await fake.close();
  }
}

test('every command is among the cases below, or it is said why not', () => {
  const named = commandsOf(program().root).map(({ name }) => name);
  // A command that is new: add a case with long names to support/every-command.ts.
  expect(named.filter((name) => CASES[name] === undefined && NOT_RUN[name] === undefined)).toEqual([]);
  expect([...Object.keys(CASES), ...Object.keys(NOT_RUN)].filter((name) => !named.includes(name))).toEqual(
    [],
  );
});

describe('with the longest names that are allowed', () => {
  for (const [name, one] of Object.entries(CASES)) {
    test(`berth ${name} fits a terminal of ${WIDTH} columns`, async () => {
      const { out, err, code } = await ran(name, one, 'terminal');
      // It came to its end: 0, or 1 where it tells of a failure.
      expect([0, 1], err).toContain(code);
      expect(out, err).not.toBe('');
      expect(err).not.toContain('error:');
      if (one.prints !== 'others') expect(wideIn(out + err)).toEqual([]);
    });
  }

  const views = Object.entries(CASES).filter(([, { prints }]) => prints === 'view');
  for (const [name, one] of views) {
    test(`berth ${name} is no wider than ${WIDTH} columns in a pipe`, async () => {
      const { out } = await ran(name, one, 'pipe');
      expect(wideIn(out).filter((line) => one.but?.test(line) !== true)).toEqual([]);
      expect(out).not.toContain('\u001b');
    });
  }

  test('a doctor’s findings fit, with their advice below them', () => {
    const checks = (['ok', 'warn', 'fail'] as const).map((state) => ({
      check: 'local agent',
      state,
      message: REASON,
      advice: state === 'ok' ? null : `Remove what is in the way: ${REASON}`,
    }));
    expect(
      wideIn(
        checksView(
          checks,
          styleOf('off', () => WIDTH),
        ),
      ),
    ).toEqual([]);
  });

  test('an error fits, and so does what to do about it', async () => {
    const fake = await fakeApi({ showTenant: () => tenant() });
    const { err, code } = await run(fake.url, ['rollout', 'status', tenant().app], {
      tty: 'terminal',
      columns: WIDTH,
    });
    await fake.close();
    expect(code).toBe(1);
    expect(err).toContain('error:');
    expect(wideIn(err)).toEqual([]);
  });
});

test('the help of every command fits, with its examples', () => {
  const { root } = program();
  const pages = [root, ...allOf(root)].map((command) => {
    let text = '';
    command.configureOutput({ writeOut: (more) => (text += more) }).outputHelp();
    return { command: command.name(), wide: wideIn(text) };
  });
  expect(pages.filter(({ wide }) => wide.length > 0)).toEqual([]);
});

function allOf(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...allOf(child)]);
}

test('what is printed for programs is as it was: one document, whatever the width', () => {
  let written = '';
  const sink = { write: (text: string) => (written += text), isTTY: true, columns: 40 };
  createOutput({ format: 'json', stdout: sink, stderr: sink, env: {} }).json({ reason: REASON });
  expect(written).toBe(`${JSON.stringify({ reason: REASON }, null, 2)}\n`);
});
