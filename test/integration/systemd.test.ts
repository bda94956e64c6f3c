import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const unitsDir = fileURLToPath(new URL('../../systemd/', import.meta.url));
const units = (await readdir(unitsDir)).filter((name) => /\.(service|mount)$/.test(name));

let root: string;

/** A file tree that looks like an installed host to systemd-analyze: its units, ours, and the programs they name. */
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'berth-units-'));
  await mkdir(join(root, 'usr/lib/systemd'), { recursive: true });
  await cp('/lib/systemd/system', join(root, 'usr/lib/systemd/system'), {
    recursive: true,
    verbatimSymlinks: true,
  });
  await symlink('usr/lib', join(root, 'lib'));
  await symlink('usr/bin', join(root, 'bin'));
  const programs = [
    'opt/berth/node/bin/node',
    'usr/sbin/nginx',
    'usr/sbin/nft',
    'usr/sbin/ip',
    'usr/sbin/dockerd',
    'usr/bin/kill',
  ];
  for (const program of programs) {
    await mkdir(dirname(join(root, program)), { recursive: true });
    await writeFile(join(root, program), '#!/bin/true\n');
    await chmod(join(root, program), 0o755);
  }
  await mkdir(join(root, 'etc/systemd/system'), { recursive: true });
  for (const unit of units) await cp(join(unitsDir, unit), join(root, 'etc/systemd/system', unit));
});

afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

function analyze(...args: string[]) {
  return new Promise<{ code: number | string; output: string }>((resolve) => {
    execFile('systemd-analyze', [...args, `--root=${root}`], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? 1), output: `${stdout}${stderr}` });
    });
  });
}

describe('the systemd units', () => {
  test('there are six', () => {
    expect(units.sort()).toEqual([
      'berth-agent.service',
      'berth-coordinator.service',
      'berth-network.service',
      'berth-nginx.service',
      'berth-secrets.service',
      'var-lib-berth-agent-nginx-requests.mount',
    ]);
  });

  test.each(units)('%s passes systemd-analyze verify without a word', async (unit) => {
    expect(await analyze('verify', unit)).toEqual({ code: 0, output: '' });
  });

  test('a unit with a mistake would not pass', async () => {
    const text = await readFile(join(unitsDir, 'berth-agent.service'), 'utf8');
    await writeFile(
      join(root, 'etc/systemd/system/mistaken.service'),
      text.replace('ProtectHome', 'ProtectHomes'),
    );
    expect((await analyze('verify', 'mistaken.service')).output).toContain('ProtectHomes');
  });

  test.each([
    ['berth-agent.service', 4.5],
    ['berth-coordinator.service', 2],
    ['berth-network.service', 3],
    ['berth-nginx.service', 3.5],
    ['berth-secrets.service', 6.5],
  ])('%s is exposed to less than %d of 10', async (unit, limit) => {
    const { output } = await analyze('security', '--offline=true', unit);
    const exposure = /Overall exposure level[^:]*: ([0-9.]+)/.exec(output)?.[1];
    expect(Number(exposure)).toBeGreaterThan(0);
    expect(Number(exposure)).toBeLessThan(limit);
  });

  test('nothing that serves requires the mount where requests are counted', async () => {
    const mount = units.find((unit) => unit.endsWith('.mount')) ?? '';
    for (const unit of units.filter((each) => each !== mount)) {
      const text = await readFile(join(unitsDir, unit), 'utf8');
      const tied = text.split('\n').filter((line) => line.includes(mount) && !line.startsWith('#'));
      const strict = tied.filter((line) => !/^(Wants|After)=/.test(line));
      expect({ unit, strict }).toEqual({ unit, strict: [] });
      expect(text).not.toContain('RequiresMountsFor');
    }
    expect(await readFile(join(unitsDir, mount), 'utf8')).toMatch(/^Options=.*size=32m/m);
  });

  test('secrets are opened before Docker starts, where Docker sees them', async () => {
    const text = await readFile(join(unitsDir, 'berth-secrets.service'), 'utf8');
    expect(text).toMatch(/^Before=docker\.service/m);
    expect(text).toMatch(/^ExecStart=.* --open-secrets$/m);
    // Each of these gives a unit a view of files of its own, and Docker would not see what is mounted there.
    expect(text).not.toMatch(/^(Protect(System|Home|Kernel|Control|Proc)|Private|ReadOnly|BindPaths)/m);
  });

  test('routes and isolation come back before Docker, and need no Node', async () => {
    const text = await readFile(join(unitsDir, 'berth-network.service'), 'utf8');
    expect(text).toMatch(/^Before=docker\.service/m);
    const commands = text.split('\n').filter((line) => line.startsWith('ExecStart='));
    expect(commands.map((line) => /\/(ip|nft) /.exec(line)?.[1])).toEqual(['ip', 'nft', 'nft']);
  });
});
