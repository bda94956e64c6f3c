import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shut, works, type Attempt } from '../../src/execute/probe/attempts.ts';
import { dnsQuery, isLocal, socketAddress, text } from '../../src/execute/probe/bytes.ts';
import { NOTHING, programOf, type Call } from '../../src/execute/probe/program.ts';
import { resolversIn } from '../../src/execute/network/resolvers.ts';
import { rowsOf, runAttempts } from '../../src/execute/probe/run.ts';
import { tarOf } from '../../src/execute/probe/tar.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-program-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Runs it on this machine; its exit code and what it wrote. */
function runProgram(calls: readonly Call[], again?: number): { status: number | null; out: string } {
  const file = join(dir, 'program');
  writeFileSync(file, programOf(process.arch === 'arm64' ? 'arm64' : 'x64', calls, again), { mode: 0o755 });
  const { status, stdout } = spawnSync(file, { timeout: 5_000, encoding: 'utf8' });
  return { status, out: stdout };
}

const HERE = -100;

describe('a program', () => {
  test('ends with 0, or with the error number of the first call that fails', () => {
    expect(runProgram([{ name: 'write', args: [1, text('hi'), 2] }])).toEqual({ status: 0, out: 'hi' });
    expect(runProgram([{ name: 'openat', args: [HERE, text('/nowhere/at/all'), 0] }]).status).toBe(2);
    expect(runProgram([{ name: 'close', args: [99] }]).status).toBe(9);
  });

  test('passes on what a call returned, shares memory between calls, and can need more than zero', () => {
    const buffer = Buffer.alloc(16);
    const read = (path: string, needs?: 'more than zero'): Call[] => [
      { name: 'openat', args: [HERE, text(path), 0] },
      { name: 'read', args: [{ result: 0 }, buffer, 16], ...(needs === undefined ? {} : { needs }) },
      { name: 'write', args: [1, buffer, { result: 1 }] },
    ];
    writeFileSync(join(dir, 'word'), 'berth');
    expect(runProgram(read(join(dir, 'word')))).toEqual({ status: 0, out: 'berth' });
    expect(runProgram(read('/dev/null', 'more than zero')).status).toBe(NOTHING);
  });

  test('goes on for ever where it is told to, until a call fails', () => {
    writeFileSync(join(dir, 'word'), 'abc');
    const letter = Buffer.alloc(1);
    const calls: Call[] = [
      { name: 'openat', args: [HERE, text(join(dir, 'word')), 0] },
      { name: 'read', args: [{ result: 0 }, letter, 1], needs: 'more than zero' },
      { name: 'write', args: [1, letter, 1] },
    ];
    expect(runProgram(calls, 1)).toEqual({ status: NOTHING, out: 'abc' });
  });

  test('is made of the same calls for the other kind of processor', () => {
    const made = programOf('arm64', [{ name: 'close', args: [99] }]);
    expect(made.readUInt16LE(18)).toBe(183);
    const words = Array.from({ length: 13 }, (_, index) => made.readUInt32LE(120 + 4 * index).toString(16));
    // movz x0, #99 … movz x8, #57 … svc #0
    expect(words[4]).toBe('d2800c60');
    expect(words[8]).toBe('d2800728');
    expect(words[12]).toBe('d4000001');
  });

  test('tells a connection that is taken from one that is refused', async () => {
    const server = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const bound = server.address();
    const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
    const target = { what: 'here', address: '127.0.0.1', port };
    expect(runProgram(works('a', 'network', 'tcp', target).calls).status).toBe(0);
    await new Promise((resolve) => server.close(resolve));
    expect(runProgram(works('a', 'network', 'tcp', target).calls).status).toBe(111);
  });
});

describe('a row', () => {
  const target = { what: 'the host', address: '192.0.2.1', port: 22 };
  const judge = (attempt: Attempt, code: number | null) => attempt.judge({ code, output: '' });

  test('counts a refusal by the other side as reached, and one by a rule not', () => {
    const attempt = shut('a', 'host', 'tcp', target);
    expect(judge(attempt, 0)).toBe('open');
    expect(judge(attempt, 111)).toBe('open');
    expect(judge(attempt, 113)).toBe('held');
    expect(judge(attempt, 115)).toBe('held');
    expect(judge(attempt, null)).toBe('untried');
    expect(judge(works('a', 'host', 'tcp', target), 113)).toBe('broken');
  });

  test('of a group has the worst of its verdicts and names what is open', () => {
    const attempts = [22, 80, 443].map((port) => ({
      ...shut(`p${port}`, 'host', 'tcp', { ...target, port }),
      group: 'the host, 3 ports',
    }));
    const results = new Map([
      ['p22', { code: 113, output: '' }],
      ['p80', { code: 111, output: '' }],
      ['p443', { code: 113, output: '' }],
    ]);
    const [row, ...more] = rowsOf(attempts, results);
    expect(more).toEqual([]);
    expect(row).toMatchObject({ tried: 'the host, 3 ports', verdict: 'open' });
    expect(row?.seen).toContain('the host 192.0.2.1 TCP 80');
    results.delete('p22');
    expect(rowsOf(attempts.slice(0, 1), results)[0]).toMatchObject({ verdict: 'untried' });
  });
});

describe('bytes', () => {
  test('of addresses and questions are as the kernel and DNS have them', () => {
    expect(socketAddress('198.51.100.7', 8080).toString('hex')).toBe('02001f90c63364070000000000000000');
    expect(socketAddress('fd00:ec2::254', 80).subarray(8, 24).toString('hex')).toBe(
      'fd000ec2000000000000000000000254',
    );
    expect(dnsQuery('a.example').subarray(12).toString('hex')).toBe('0161076578616d706c650000010001');
    expect(['127.0.0.53', '::1', 'fe80::1', '10.0.0.1', 'fd00::2'].map(isLocal)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  test('of an archive are read by tar', () => {
    const file = join(dir, 'a.tar');
    writeFileSync(
      file,
      tarOf([
        { path: 'bin/', mode: 0o755, data: null },
        { path: 'bin/a', mode: 0o4755, data: Buffer.from('hello') },
        { path: 'bin/b', mode: 0o777, data: 'a' },
      ]),
    );
    const { stdout, status } = spawnSync('tar', ['-tvf', file], { encoding: 'utf8' });
    expect(status).toBe(0);
    expect(stdout).toMatch(/-rwsr-xr-x 0\/0 +5 .* bin\/a\n/);
    expect(stdout).toMatch(/bin\/b -> a\n/);
  });
});

describe('the host’s name servers', () => {
  const ranges = {
    agent: 'a',
    virtualCidr: '198.18.0.0/16',
    tenantCidr: '198.19.0.0/16',
    bridgePrefix: 'bt-',
  };
  const of = (...servers: string[]): string[] =>
    resolversIn(servers.map((each) => `nameserver ${each}\n`).join(''), ranges);

  test('are those that a tenant may ask', () => {
    expect(of('10.0.0.2', '169.254.169.253', '10.0.0.2')).toEqual(['10.0.0.2', '169.254.169.253']);
  });

  test('are never on loopback, among tenants, nor the metadata service', () => {
    expect(
      of('127.0.0.53', '::1', '198.19.4.1', '198.18.0.1', '169.254.169.254', '0.0.0.0', '224.0.0.251'),
    ).toEqual([]);
    expect(of('10.0.0.2; accept', 'fe80::1%eth0', 'name.example')).toEqual([]);
  });
});

test('what did not end is tried once more, and what ended is not', async () => {
  const asked: string[][] = [];
  const exec = (_container: string, argv: readonly string[]) => {
    asked.push([...argv]);
    const output = asked.length === 1 ? 'a 1 \nb 137 \n' : 'b 0 \n';
    return Promise.resolve({ exitCode: 0, output });
  };
  const attempt = (id: string): Attempt => ({
    id,
    area: 'files',
    tried: id,
    expected: 'refused',
    calls: [],
    who: 'root',
    judge: () => 'held',
  });
  const results = await runAttempts(
    { system: { docker: { exec } } },
    { root: 'r', nobody: 'n' },
    ['a', 'b', 'c'].map(attempt),
    new AbortController().signal,
  );
  expect(asked).toEqual([
    ['/probe/run', 'a', 'b', 'c'],
    ['/probe/run', 'b', 'c'],
  ]);
  expect([...results].map(([id, { code }]) => [id, code])).toEqual([
    ['a', 1],
    ['b', 0],
  ]);
});
