import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mountsBelow, unmountBelow } from '@berth/cli/local/mounts';
import { webImage } from '../integration/support/images.ts';
import { logOf, type AgentProcess } from '../support/agent.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { makeMachine, type Machine } from '../support/machine.ts';
import { program } from '../support/programs.ts';
import { claimSlice, type Slice } from '../support/slices.ts';

/** Secrets after power went, after their memory went, and with a key that is no more, while the coordinator is away. */

const TENANTS = ['acme', 'globex'] as const;
let slice: Slice;
let machine: Machine;
let fleet: Fleet;
let agent: AgentProcess;

const secretOf = (tenant: string): string => `the secret of ${tenant}`;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

beforeAll(async () => {
  slice = await claimSlice();
  machine = await makeMachine(slice);
  await machine.startDocker();
  const image = await webImage(machine.docker);
  fleet = await startFleet({ slice, listen: machine.outsideAddress, socket: machine.socket });
  agent = await fleet.addAgent({ inside: machine.inside, listenAddress: machine.address });
  await fleet.apply(
    'vault',
    `
secrets: { GREETING: }
services:
  web:
    image: ${image}
    # What it answers is what it reads when it starts: without its file it does not start.
    command: ["sh", "-c", "VERSION=$$(cat /run/secrets/GREETING) || exit 1; export VERSION; exec serve"]
    secrets: [GREETING]
    tmpfs: [/tmp]
    healthcheck: { test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"], interval: 1s, start_interval: 100ms }
    stop_grace_period: 1s
    deploy: { resources: { limits: { memory: 64M, cpus: "1.0" }, reservations: { memory: 8M, cpus: "0.01" } } }
    x-berth: { route: { port: 8080 }, drain: 1s }
x-berth: { bake: 500ms }
`,
  );
  for (const tenant of TENANTS) {
    const secrets = { GREETING: { kind: 'value' as const, value: base64(secretOf(tenant)) } };
    const body = { tenant, app: 'vault', domains: [`${tenant}.test`], host: agent.host(), secrets };
    await fleet.untilLive(await fleet.api().createTenant({ body }));
  }
  for (const tenant of TENANTS) await fleet.untilSettled(tenant, 1);
});
afterAll(async () => {
  await fleet?.close();
  await machine?.close();
});

const ids = async (): Promise<string[]> => (await fleet.containers()).map((each) => each.id).sort();
const allAnswer = async (): Promise<void> => {
  await Promise.all(TENANTS.map((tenant) => fleet.untilAnswers(tenant, secretOf(tenant), 30_000)));
};
const openDir = (): string => join(agent.stateDir, 'secrets', 'open');

/** Everything ends at once, and what was only in memory is gone. */
async function powerGoes(): Promise<void> {
  await fleet.coordinator.kill();
  await agent.kill();
  await machine.killAll('nginx:');
  await machine.stopDocker();
  await unmountBelow(openDir());
  await machine.run('nft', 'flush', 'ruleset');
  await machine.run('ip', 'route', 'del', 'local', slice.virtualCidr, 'dev', 'lo');
  await machine.run('ip', 'route', 'del', 'unreachable', slice.tenantCidr, 'metric', '4096');
  const links = await machine.run('ip', '-o', 'link', 'show', 'type', 'bridge');
  for (const [, name] of links.matchAll(/^\d+: ([^:@]+)/gm))
    if (name !== undefined) await machine.run('ip', 'link', 'del', name);
}

/** The commands of a unit, for this agent's files. */
async function boot(unit: string): Promise<void> {
  const text = readFileSync(new URL(`../../systemd/${unit}`, import.meta.url), 'utf8');
  for (const [, line = ''] of text.matchAll(/^ExecStart(?:Pre)?=(.*)$/gm)) {
    const command = line
      .replace(/^-/, '')
      .replaceAll('/var/lib/berth/agent', agent.stateDir)
      .replaceAll('/etc/berth/agent.json', join(dirname(agent.logFile), 'agent.json'))
      .replaceAll('/opt/berth/node/bin/node', process.execPath)
      .replaceAll('/opt/berth/dist/agent.js', program('agent'));
    const [name = '', ...args] = command.split(' ');
    const done = machine.run(name, ...args);
    await (line.startsWith('-') ? done.catch(() => undefined) : done);
  }
}

describe('tenants with secrets, while the coordinator is away', () => {
  test('are back after a reboot with the boot units alone, in the same containers', async () => {
    const before = await ids();
    await powerGoes();
    await boot('berth-network.service');
    await boot('berth-secrets.service');
    await machine.startDocker();
    await boot('berth-nginx.service');
    await allAnswer();
    expect(await ids()).toEqual(before);
  });

  test('are brought back by the agent where nothing was opened before Docker started, and never start with an empty directory', async () => {
    const before = await ids();
    await powerGoes();
    await boot('berth-network.service');
    await machine.startDocker();
    const held = await fleet.containers();
    expect(held.map((each) => each.state)).toEqual(['exited', 'exited']);
    await agent.start();
    await allAnswer();
    expect(await ids()).toEqual(before);
  });

  test('find their files again when the memory was unmounted under them', async () => {
    await unmountBelow(openDir());
    // What runs still has its files; what starts anew needs them back.
    await expect.poll(() => mountsBelow(openDir()).length, { timeout: 20_000 }).toBe(1);
    for (const id of await ids()) await machine.docker.getContainer(id).restart({ t: 0 });
    await allAnswer();
  });

  test('are not started when the host’s key is damaged: the problem names the secret, and the key put back mends it', async () => {
    await powerGoes();
    const keyFile = join(agent.stateDir, 'secrets', 'sealing-key.json');
    const key = readFileSync(keyFile, 'utf8');
    writeFileSync(keyFile, key.replace(/"privateKey":"..../, '"privateKey":"AAAA'));
    await boot('berth-network.service');
    await expect(boot('berth-secrets.service')).rejects.toThrow(/sealing-key\.json cannot be read/);
    await machine.startDocker();
    const from = readFileSync(agent.logFile, 'utf8').length;
    await agent.start();
    await expect
      .poll(() => logOf(agent, from), { timeout: 20_000 })
      .toMatch(/sealing-key\.json cannot be read/);
    expect((await fleet.containers()).map((each) => each.state)).toEqual(['exited', 'exited']);
    writeFileSync(keyFile, key);
    await allAnswer();
  });

  test('are not started when a value was altered on the disk, which is told by its name, until the coordinator gives it again', async () => {
    await powerGoes();
    const dir = join(agent.stateDir, 'secrets', 'sealed', 'acme');
    const [name = ''] = (await machine.run('ls', dir)).split('\n');
    const text = readFileSync(join(dir, name), 'utf8');
    writeFileSync(
      join(dir, name),
      text.replace(
        /"box":"(.{80})(.)/,
        (_all, start: string, last: string) => `"box":"${start}${last === 'A' ? 'B' : 'A'}`,
      ),
    );
    await boot('berth-network.service');
    await expect(boot('berth-secrets.service')).rejects.toThrow(/GREETING \(version 1\) of tenant acme/);
    await machine.startDocker();
    const from = readFileSync(agent.logFile, 'utf8').length;
    await agent.start();
    await fleet.untilAnswers('globex', secretOf('globex'), 30_000);
    await expect
      .poll(() => logOf(agent, from), { timeout: 20_000 })
      .toMatch(/"code":"secret_unavailable".*GREETING \(version 1\) of tenant acme/);
    const acme = (await fleet.containers('acme')).map((each) => each.state);
    expect(acme).toEqual(['exited']);

    await fleet.coordinator.start();
    await fleet.untilAnswers('acme', secretOf('acme'), 90_000);
  });
});
