import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Egress } from '@berth/shared/domain/egress';
import { ProbeReport } from '@berth/shared/domain/probe';
import { beyondOf } from '@berth/agent/execute/probe/world';
import { DockerClient } from '@berth/agent/system/docker';
import { createBeyond, type Beyond } from '../integration/support/beyond.ts';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, recordContainers, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { run } from '../support/processes.ts';
import { webApp } from '../support/templates.ts';
import { berthIn } from './support/berth.ts';

/** Isolation as an operator meets it: the probe, egress and dedicated hosts, through the API and the command line. */

const docker = dockerAt(sharedSocket());
const client = new DockerClient(sharedSocket());
const berth = berthIn('berth-isolation-');
let fleet: Fleet;
let agent: AgentProcess;
let beyond: Beyond;

beforeAll(async () => {
  const image = await webImage(docker);
  fleet = await startFleet();
  agent = await fleet.addAgent();
  beyond = await createBeyond(agent.name);
  await fleet.apply('shop', webApp({ image, bake: '300ms' }));
  await fleet.create('acme', 'shop');
  const login = ['login', fleet.coordinator.url(), '--token-file', join(fleet.dir, 'admin-token')];
  const said = await berth.run(login);
  if (said.code !== 0) throw new Error(said.stderr);
});
afterAll(async () => {
  await beyond?.close();
  await fleet?.close();
  client.close();
  berth.remove();
});

/** Whether the tenant's container gets an answer from there. */
async function reaches(address: string): Promise<boolean> {
  const [web] = (await fleet.containers('acme')).filter(
    (each) => each.service === 'web' && each.state === 'running',
  );
  const ask = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${address} 8080`;
  const { output } = await client.exec(web?.id ?? '', ['sh', '-c', ask]);
  return output.includes('beyond');
}

async function until(what: string, fits: () => Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await fits())) {
    if (Date.now() > end) throw new Error(`waited in vain until ${what}\n${fleet.logs()}`);
    await sleep(100);
  }
}

describe('egress', () => {
  test('follows an operator’s word within seconds, and touches no container', async () => {
    await fleet.untilSettled('acme', 1);
    const record = await recordContainers(docker, agent.name);
    const set = async (egress: Egress | null): Promise<void> => {
      const changed = await fleet.api().changeTenant({ params: { tenant: 'acme' }, body: { egress } });
      expect(changed.generation).toBe(1);
    };
    expect(await reaches(beyond.internet)).toBe(true);
    await set('none');
    await until('nothing is reached', async () => !(await reaches(beyond.internet)));
    await set(['172.31.255.0/24']);
    await until('the range is reached', () => reaches(beyond.privately));
    expect(await reaches(beyond.internet)).toBe(false);
    await set('public');
    await until('the internet is reached', () => reaches(beyond.internet));
    expect(await reaches(beyond.privately)).toBe(false);
    const said = await berth.run(['tenant', 'set', 'acme', '--egress', 'release']);
    expect(said.code, said.stderr + said.stdout).toBe(0);
    expect(await reaches(beyond.privately)).toBe(true);
    expect(await reaches(beyond.metadata)).toBe(false);
    expect(record.events).toEqual([]);
    record.close();
    const wrong = await berth.run(['tenant', 'set', 'acme', '--egress', '10.0.0.0/8; accept']);
    expect(wrong.code).toBe(2);
  });

  test('holds over a restart of the agent and a flush of all its rules', async () => {
    await fleet.api().changeTenant({ params: { tenant: 'acme' }, body: { egress: 'none' } });
    await until('nothing is reached', async () => !(await reaches(beyond.internet)));
    await fleet.restart(agent);
    expect(await reaches(beyond.internet)).toBe(false);
    const after = fleet.lastEvent();
    await run('nft', ['delete', 'table', 'inet', `berth_${agent.name}`]);
    await fleet.journal.until(
      'that the rules were restored',
      (event) => event.kind === 'host.rules_restored',
      {
        after,
        timeoutMs: 5_000,
      },
    );
    expect(await reaches(beyond.internet)).toBe(false);
    await fleet.api().changeTenant({ params: { tenant: 'acme' }, body: { egress: null } });
    await until('the internet is reached', () => reaches(beyond.internet));
  });
});

describe('berth host probe', () => {
  test('prints a table, ends with 0, and is on record', async () => {
    const said = await berth.run(['host', 'probe', agent.name]);
    expect(said.code, said.stdout + said.stderr).toBe(0);
    expect(said.stdout).toMatch(/^VERDICT +AREA +TRIED: SEEN$/m);
    expect(Math.max(...said.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(said.stdout).toMatch(/\d+ held, 0 open, \d+ notes, in [\d.]+ s/);
    const events = await fleet.api().listEvents({ query: { host: agent.host(), kind: 'host.probed' } });
    expect(events.items.at(-1)).toMatchObject({ details: { open: 0, other: 0 } });
  }, 240_000);

  test('leaves nothing behind when the agent is killed in the middle of it', async () => {
    const asked = fleet
      .api()
      .probeHost({ params: { host: agent.host() } })
      .then(
        () => 'answered',
        (thrown: unknown) => String(thrown),
      );
    const filters = { label: [`berth.probe=${agent.name}`] };
    const containers = () => docker.listContainers({ all: true, filters });
    await until('the probe has containers', async () => (await containers()).length > 2);
    await sleep(1_500);
    await agent.kill('SIGKILL');
    expect(await asked).not.toBe('answered');
    expect((await containers()).length).toBeGreaterThan(0);
    await fleet.restart(agent);
    const networks = () =>
      docker.listNetworks({ filters: { label: [`berth.agent=${agent.name}`], name: ['probe'] } });
    await until(
      'all of the probe is gone',
      async () => (await containers()).length === 0 && (await networks()).length === 0,
    );
    const { stdout } = await run('ip', ['-o', 'link', 'show']);
    expect(stdout).not.toContain(`bp${agent.name}`);
    const boot = readFileSync(join(agent.stateDir, 'network', 'static.nft'), 'utf8');
    // The tenant's bridge alone.
    expect(boot.match(/ \. "/g)).toHaveLength(1);
    expect((await fleet.containers('acme')).filter((each) => each.state === 'running').length).toBe(1);
  }, 240_000);

  test('ends with 1 and says what is open when somebody else’s rules lead tenants astray', async () => {
    const table = `xtest_${agent.name}`;
    const { listed, linkLocal } = beyondOf(agent.name);
    const led = `ip saddr ${agent.slice.tenantCidr} ip daddr ${linkLocal} dnat to ${listed}`;
    await run('nft', ['add', 'table', 'ip', table]);
    try {
      await run('nft', ['add', 'chain', 'ip', table, 'pre', '{ type nat hook prerouting priority -100; }']);
      await run('nft', ['add', 'rule', 'ip', table, 'pre', led]);
      const said = await berth.run(['host', 'probe', agent.name, '--json']);
      expect(said.code).toBe(1);
      const report = z.object({ rows: ProbeReport.shape.rows }).parse(JSON.parse(said.stdout));
      const open = report.rows.filter((row) => row.verdict === 'open');
      expect(open.map((row) => row.tried).join()).toContain(linkLocal);
    } finally {
      await run('nft', ['delete', 'table', 'ip', table]);
    }
  }, 240_000);
});
