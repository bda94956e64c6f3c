import { describe, expect, test } from 'vitest';
import { BerthError } from '@berth/shared/domain/errors';
import { addressesIn, type HostAddress } from '../../src/execute/probe/addresses.ts';
import type { Attempt, Target } from '../../src/execute/probe/attempt.ts';
import { forksRow, memoryRow } from '../../src/execute/probe/hogs.ts';
import { paceOf } from '../../src/execute/probe/pace.ts';
import { shut } from '../../src/execute/probe/reach.ts';
import { runAttempts, type Conditions } from '../../src/execute/probe/run.ts';
import { stood, type Standing } from '../../src/execute/probe/standing.ts';
import { addressTargets, lasting } from '../../src/execute/probe/targets.ts';

const never = new AbortController().signal;

function attempt(id: string, target?: Target): Attempt {
  const place = {
    what: id,
    address: '192.0.2.1',
    port: 22,
    target: target ?? { kind: 'elsewhere' as const },
  };
  const made = shut(id, 'files', 'tcp', place);
  const { target: _, ...kernel } = made;
  return target === undefined ? kernel : made;
}

const standing = (identity: string | null): Standing => ({ identityOf: () => identity });

/** Answers one exec after the other; the last again and again. */
function dockerThatSays(...answers: (string | BerthError)[]) {
  const asked: string[][] = [];
  const exec = (_container: string, argv: readonly string[]) => {
    asked.push([...argv]);
    const answer = answers[Math.min(asked.length, answers.length) - 1] ?? '';
    return typeof answer === 'string'
      ? Promise.resolve({ exitCode: 0, output: answer })
      : Promise.reject(answer);
  };
  return { asked, deps: { system: { docker: { exec } }, sleep: () => Promise.resolve() } };
}

const conditions = (changes: Partial<Conditions> = {}): Conditions => ({
  containers: { root: 'r', nobody: 'n' },
  pace: paceOf(100),
  look: () => Promise.resolve(standing('here')),
  hasTime: () => true,
  ...changes,
});

describe('programs in a container', () => {
  test('that did not end are tried again, fewer at a time and with more time, and those that ended are not', async () => {
    const { asked, deps } = dockerThatSays('a 1\nb 137\n', 'b.patient 13\nc.patient 1\n');
    const attempts = ['a', 'b', 'c'].map((id) => attempt(id));
    const outcomes = await runAttempts(deps, attempts, conditions(), never);
    expect(asked).toEqual([
      ['/probe/run', '6', '16', 'a', 'b', 'c'],
      ['/probe/run', '12', '4', 'b.patient', 'c.patient'],
    ]);
    expect([...outcomes].map(([id, { result }]) => [id, result?.code])).toEqual([
      ['a', 1],
      ['b', 13],
      ['c', 1],
    ]);
  });

  test('that never end are given up after three tries, or when there is no time left', async () => {
    const { asked, deps } = dockerThatSays('');
    const outcomes = await runAttempts(deps, [attempt('a')], conditions(), never);
    expect(asked.length).toBe(3);
    expect(outcomes.get('a')).toMatchObject({ verdict: 'untried', result: { code: null } });
    const late = dockerThatSays('');
    await runAttempts(late.deps, [attempt('a')], conditions({ hasTime: () => false }), never);
    expect(late.asked.length).toBe(1);
  });

  test('are tried again when Docker itself did not answer in time, and any other error of its is one', async () => {
    const { deps } = dockerThatSays(new BerthError('timeout', 'too slow'), 'a.patient 1\n');
    expect((await runAttempts(deps, [attempt('a')], conditions(), never)).get('a')?.verdict).toBe('held');
    const gone = dockerThatSays(new BerthError('docker_unavailable', 'gone'));
    await expect(runAttempts(gone.deps, [attempt('a')], conditions(), never)).rejects.toThrow('gone');
  });

  test('that reach an address which left the host meanwhile are not open', async () => {
    const to: Target = { kind: 'host', address: '192.0.2.1', stays: 'passing' };
    const { asked, deps } = dockerThatSays('a 0\n', 'a.patient 0\n');
    const seen = ['br-x 7', null];
    const look = () => Promise.resolve(standing(seen.shift() ?? null));
    const outcomes = await runAttempts(deps, [attempt('a', to)], conditions({ look }), never);
    expect(outcomes.get('a')?.verdict).toBe('note');
    expect(asked.length).toBe(2);
  });

  test('that reach twice what stayed are open', async () => {
    const to: Target = { kind: 'host', address: '192.0.2.1', stays: 'passing' };
    const { deps } = dockerThatSays('a 0\n', 'a.patient 111\n');
    const outcomes = await runAttempts(deps, [attempt('a', to)], conditions(), never);
    expect(outcomes.get('a')?.verdict).toBe('open');
  });
});

describe('targets', () => {
  const at = (address: string, link: string, index: number, kind: HostAddress['kind']): HostAddress => ({
    address,
    link,
    index,
    kind,
  });
  const host = at('192.0.2.9', 'eth0', 2, 'device');
  const bridge = at('198.18.48.1', 'br-old', 40, 'made');
  const young = at('198.18.49.1', 'br-new', 90, 'made');
  const tenant = at('198.19.0.1', 'bt-1', 30, 'made');

  test('are the own gateway, the host’s devices, then links of others, older ones first, at most eight', () => {
    const many = Array.from({ length: 9 }, (_, index) =>
      at(`203.0.113.${index}`, `x${index}`, 100 + index, 'made'),
    );
    const config = { bridgePrefix: 'bt-' };
    const own = at('198.19.0.65', 'bt-2', 31, 'made');
    const all = [young, tenant, own, bridge, at('127.0.0.1', 'lo', 1, 'device'), host, ...many];
    const { addresses } = addressTargets(config, own.address, all);
    expect(addresses.length).toBe(8);
    expect(addresses.slice(0, 4)).toEqual([
      { address: '198.19.0.65', stays: 'certain' },
      { address: '192.0.2.9', stays: 'certain' },
      { address: '198.18.48.1', stays: 'passing' },
      { address: '198.18.49.1', stays: 'passing' },
    ]);
    expect(addressTargets(config, own.address, [at('fd00::2', 'eth0', 2, 'device')]).ipv6).toEqual([
      { address: 'fd00::2', stays: 'certain' },
    ]);
  });

  test('have been there for a while, on the same link', () => {
    const again = { ...bridge, index: 91 };
    expect(lasting([host, bridge], [host, young])).toEqual([host]);
    expect(lasting([host, bridge], [host, again])).toEqual([host]);
  });

  test('did not stay when they are gone, or another is in their place', () => {
    const to: Target = { kind: 'host', address: '192.0.2.9', stays: 'certain' };
    expect(stood(to, standing('eth0 2'), standing('eth0 2'))).toBe('there');
    expect(stood(to, standing('br-x 7'), standing('br-x 8'))).toBe('gone');
    expect(stood(to, standing(null), standing('eth0 2'))).toBe('gone');
    expect(stood(to, standing(null), standing(null))).toBe('gone');
    expect(stood(undefined, standing(null), standing(null))).toBe('there');
  });

  test('are read from what ip prints: links that are up, with or without a carrier', () => {
    const link = (ifname: string, ifindex: number, flags: string[], more: object = {}): object => ({
      ifname,
      ifindex,
      flags,
      addr_info: [{ family: 'inet', local: `192.0.2.${ifindex}` }],
      ...more,
    });
    const text = JSON.stringify([
      link('eth0', 2, ['BROADCAST', 'UP', 'LOWER_UP']),
      link('docker0', 3, ['NO-CARRIER', 'UP'], { linkinfo: { info_kind: 'bridge' } }),
      link('off', 4, ['BROADCAST']),
      {},
    ]);
    expect(addressesIn(text)).toEqual([
      at('192.0.2.2', 'eth0', 2, 'device'),
      at('192.0.2.3', 'docker0', 3, 'made'),
    ]);
    expect(addressesIn('')).toEqual([]);
  });
});

describe('a hog', () => {
  const parts = { hog: 'h', neighbour: () => Promise.resolve('answers' as const), pace: paceOf(100) };

  test('of processes that told nothing is cleared away and tried once more with more time', async () => {
    const { asked, deps } = dockerThatSays('', '', 'started 60\n');
    expect(await forksRow(deps, parts, never)).toMatchObject({
      verdict: 'held',
      seen: '60 started, others answer',
    });
    expect(asked.map((each) => each.at(3))).toEqual(['12', undefined, '18']);
    const silent = dockerThatSays('');
    expect((await forksRow(silent.deps, parts, never)).verdict).toBe('untried');
    const unbounded = dockerThatSays('started 400\n');
    expect((await forksRow(unbounded.deps, parts, never)).verdict).toBe('open');
  });

  test('of memory whose run Docker did not see the end of is tried once more', async () => {
    const { asked, deps } = dockerThatSays(new BerthError('timeout', 'too slow'), 'ended 137\n');
    expect((await memoryRow(deps, parts, never)).verdict).toBe('held');
    expect(asked.length).toBe(2);
    const all = dockerThatSays('ended 0\n');
    expect((await memoryRow(all.deps, parts, never)).verdict).toBe('open');
  });
});
