import { execFile, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dnsQuery, isLocal, socketAddress, text } from '../../src/execute/probe/bytes.ts';
import { NOTHING, programOf, type Call } from '../../src/execute/probe/program.ts';
import { resolversIn } from '../../src/execute/network/resolvers.ts';
import { works, type Place } from '../../src/execute/probe/reach.ts';
import { resultIn, sweep } from '../../src/execute/probe/sweep.ts';
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
    const place: Place = { what: 'here', address: '127.0.0.1', port, target: { kind: 'elsewhere' } };
    const { program } = works('a', 'network', 'tcp', place);
    expect(runProgram(program.calls).status).toBe(0);
    await new Promise((resolve) => server.close(resolve));
    expect(runProgram(program.calls).status).toBe(111);
    expect(runProgram(program.patient ?? []).status).toBe(111);
  });

  test('goes on after a call that may fail, and can tell all results', () => {
    const file = join(dir, 'told');
    const calls: Call[] = [
      { name: 'close', args: [99], failure: 'goes on' },
      { name: 'openat', args: [HERE, text('/nowhere'), 0], failure: 'goes on' },
      { name: 'write', args: [1, text('ab'), 2] },
      { name: 'write', args: [1, { resultsFrom: 1 }, 16] },
    ];
    writeFileSync(file, programOf(process.arch === 'arm64' ? 'arm64' : 'x64', calls), { mode: 0o755 });
    const { status, stdout } = spawnSync(file, { timeout: 5_000 });
    expect(status).toBe(0);
    expect([stdout.readBigInt64LE(2), stdout.readBigInt64LE(10)]).toEqual([-2n, 2n]);
  });
});

describe('a sweep', () => {
  const listen = async (): Promise<{ port: number; close: () => Promise<unknown> }> => {
    const server = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const bound = server.address();
    const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
    return { port, close: () => new Promise((resolve) => server.close(resolve)) };
  };
  const at = { what: 'here', address: '127.0.0.1', target: { kind: 'elsewhere' as const } };

  test('asks at all ports by one program and tells of each', async () => {
    const [open, shut] = [await listen(), await listen()];
    await shut.close();
    const echo = createSocket('udp4');
    echo.on('message', (message, peer) => echo.send(message, peer.port, peer.address));
    echo.bind(0, '127.0.0.1');
    await once(echo, 'listening');
    try {
      const udp = [echo.address().port, shut.port];
      const attempts = sweep('s', { ...at, tcp: [open.port, shut.port], udp });
      const program = attempts[0]?.program;
      expect(attempts.every((each) => each.program === program)).toBe(true);
      const file = join(dir, 'sweep');
      const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
      writeFileSync(file, programOf(arch, program?.calls ?? []), { mode: 0o755 });
      const { stdout } = await promisify(execFile)(file, { timeout: 5_000, encoding: 'buffer' });
      const told = { code: 0, output: stdout.toString('hex') };
      const codes = attempts.slice(0, 4).map((each) => resultIn(told, each.results ?? []).code);
      expect(codes).toEqual([0, 111, 0, 111]);
      expect(attempts.slice(0, 4).map((each) => each.judge(resultIn(told, each.results ?? [])))).toEqual([
        'open',
        'open',
        'open',
        'open',
      ]);
    } finally {
      await open.close();
      echo.close();
    }
  });

  test('reads what the kernel told: the first real failure counts, no answer is none, and silence is lost', () => {
    const told = (...values: number[]): { code: number; output: string } => {
      const bytes = Buffer.alloc(8 * values.length);
      values.forEach((value, index) => bytes.writeBigInt64LE(BigInt(value), 8 * index));
      return { code: 0, output: bytes.toString('hex') };
    };
    const code = (results: number[], ...values: number[]) => resultIn(told(...values), results).code;
    expect(code([0, 1], -115, -113)).toBe(113);
    expect(code([0, 1], -115, -106)).toBe(0);
    expect(code([0, 1], -115, -114)).toBe(115);
    expect(code([0, 1, 2], 0, -1, -11)).toBe(1);
    expect(code([0, 1, 2], 0, 6, -11)).toBe(11);
    expect(code([0, 1, 2], -101, -89, -11)).toBe(101);
    expect(code([0, 5], -115, -113)).toBeNull();
    expect(resultIn({ code: 24, output: '' }, [0]).code).toBeNull();
  });

  test('takes no more of an answer of Docker than there is room for', () => {
    const ports = Array.from({ length: 32 }, (_, index) => 1000 + index);
    const [attempt] = sweep('s', { ...at, tcp: ports, udp: ports.slice(0, 8) });
    const last = attempt?.program.calls.at(-1);
    expect(last).toMatchObject({ name: 'write', args: [1, {}, expect.any(Number)] });
    expect(Number(last?.args[2])).toBeLessThan(1_500);
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
