import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { recordContainers } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { ask } from '../support/load.ts';
import { makeMachine, type Machine } from '../support/machine.ts';
import { claimSlice, nginxMasters, type Slice } from '../support/slices.ts';
import { sleeper, webApp } from '../support/templates.ts';

/** Faults that hit all of a machine, in a network namespace with a Docker daemon of its own. */

const TENANTS = ['acme', 'globex', 'initech'] as const;
let slice: Slice;
let machine: Machine;
let fleet: Fleet;
let agent: AgentProcess;

beforeAll(async () => {
  slice = await claimSlice();
  machine = await makeMachine(slice);
  await machine.startDocker();
  const image = await webImage(machine.docker);
  fleet = await startFleet({ slice, listen: machine.outsideAddress, socket: machine.socket });
  agent = await fleet.addAgent({ inside: machine.inside, listenAddress: machine.address });
  const more = `${sleeper('cache', image, '    volumes: ["data:/data"]')}\nvolumes: { data: {} }\n`;
  await fleet.apply('shop', webApp({ image, more, replicas: '${REPLICAS:-1}' }));
  // One of them with two replicas: its route is another kind of map.
  await Promise.all(
    TENANTS.map((tenant, index) =>
      fleet.create(tenant, 'shop', { variables: { VERSION: tenant, REPLICAS: index === 0 ? '2' : '1' } }),
    ),
  );
  await Promise.all(TENANTS.map((tenant) => fleet.untilSettled(tenant, 1)));
});
afterAll(async () => {
  await fleet?.close();
  await machine?.close();
});

const allIds = async (): Promise<string[]> => (await fleet.containers()).map((each) => each.id);
const allAnswer = async (): Promise<void> => {
  await Promise.all(TENANTS.map((tenant) => fleet.untilAnswers(tenant, tenant, 20_000)));
};

describe('a machine whose', () => {
  test('Docker daemon is stopped and started brings its tenants back by itself, the same containers', async () => {
    const before = await allIds();
    const after = fleet.lastEvent();
    await machine.stopDocker();
    await fleet.journal.until('that Docker is down', (event) => event.kind === 'host.docker_down', { after });
    await machine.startDocker();
    await fleet.journal.until('that Docker is up', (event) => event.kind === 'host.docker_up', { after });
    await allAnswer();
    for (const tenant of TENANTS) await fleet.untilSettled(tenant, 1);
    expect(await allIds()).toEqual(before);
  });

  test('Docker daemon is killed finds its tenants running when the next one comes', async () => {
    const before = await allIds();
    await machine.stopDocker('SIGKILL');
    await machine.startDocker();
    await allAnswer();
    for (const tenant of TENANTS) await fleet.untilSettled(tenant, 1);
    expect(await allIds()).toEqual(before);
  });

  test('rules are flushed, all of them, has them back within seconds and restarts nothing', async () => {
    const record = await recordContainers(machine.docker, agent.name);
    const after = fleet.lastEvent();
    await machine.run('nft', 'flush', 'ruleset');
    const began = Date.now();
    await allAnswer();
    expect(Date.now() - began).toBeLessThan(20_000);
    await fleet.journal.until(
      'that the rules were restored',
      (event) => event.kind === 'host.rules_restored',
      {
        after,
      },
    );
    const rules = await machine.run('nft', 'list', 'table', 'inet', `berth_${agent.name}`);
    expect(rules).toContain('169.254.0.0/16');
    expect(record.events).toEqual([]);
    record.close();
  });

  test('Nginx is killed has it again within seconds', async () => {
    const after = fleet.lastEvent();
    const [master] = nginxMasters(slice.statePrefix);
    if (master === undefined) throw new Error('no Nginx ran');
    process.kill(master, 'SIGKILL');
    await expect
      .poll(() => nginxMasters(slice.statePrefix).filter((pid) => pid !== master).length, { timeout: 10_000 })
      .toBe(1);
    await allAnswer();
    await fleet.journal.until(
      'that Nginx was started again',
      (event) => event.kind === 'host.nginx_restarted',
      {
        after,
      },
    );
  });

  test('power goes serves every tenant after the boot units, without an agent and without a coordinator', async () => {
    const before = await allIds();
    await fleet.coordinator.kill();
    await agent.kill();
    await machine.killAll('nginx:');
    await machine.stopDocker();
    await forgetKernelState();
    await expect(ask(fleet.place('acme'))).rejects.toThrow();

    for (const line of execLines('berth-network.service')) await boot(line);
    await machine.startDocker();
    for (const line of execLines('berth-nginx.service')) await boot(line);
    await allAnswer();
    expect(await allIds()).toEqual(before);

    await fleet.coordinator.start();
    const record = await recordContainers(machine.docker, agent.name);
    const since = Date.now();
    await fleet.restart(agent);
    for (const tenant of TENANTS) await fleet.untilSettled(tenant, 1, { since });
    await allAnswer();
    expect(record.events).toEqual([]);
    record.close();
  });
});

/** What a kernel that has just started does not know: rules, our two routes, bridges. */
async function forgetKernelState(): Promise<void> {
  await machine.run('nft', 'flush', 'ruleset');
  await machine.run('ip', 'route', 'del', 'local', slice.virtualCidr, 'dev', 'lo');
  await machine.run('ip', 'route', 'del', 'unreachable', slice.tenantCidr, 'metric', '4096');
  const links = await machine.run('ip', '-o', 'link', 'show', 'type', 'bridge');
  for (const [, name] of links.matchAll(/^\d+: ([^:@]+)/gm))
    if (name !== undefined) await machine.run('ip', 'link', 'del', name);
}

/** The commands of a unit, for this agent's state directory. */
function execLines(unit: string): string[] {
  const text = readFileSync(new URL(`../../systemd/${unit}`, import.meta.url), 'utf8');
  const lines = [...text.matchAll(/^ExecStart(?:Pre)?=(.*)$/gm)].map(([, line = '']) =>
    line.replaceAll('/var/lib/berth/agent', agent.stateDir),
  );
  expect(lines.length).toBeGreaterThan(0);
  return lines;
}

/** As systemd runs it: a leading `-` forgives a failure. */
async function boot(line: string): Promise<void> {
  const [program = '', ...args] = line.replace(/^-/, '').split(' ');
  const done = machine.run(program, ...args);
  await (line.startsWith('-') ? done.catch(() => undefined) : done);
}
