import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { probeHolds, type ProbeReport } from '@berth/shared/domain/probe';
import { createBeyond } from './support/beyond.ts';
import { createTestHost, type TestHost } from './support/host.ts';
import { busyboxImage } from './support/images.ts';

/** The probe, on this machine's Docker, with a tenant beside it that must not notice. */

const run = promisify(execFile);
let host: TestHost;
let tenant: string;

beforeAll(async () => {
  host = await createTestHost();
  await host.executor.ensureNetworkBase();
  const network = host.network(0, 'acme');
  const plan = host.plan({ tenant: 'acme', network, host: 10, image: await busyboxImage(host.docker) });
  tenant = plan.name;
  for (const step of [
    { kind: 'network.ensure' as const, tenant: 'acme', network, egress: 'none' as const },
    { kind: 'containers.start' as const, tenant: 'acme', generation: 1, containers: [plan] },
  ]) {
    const outcome = await host.run(step);
    if (outcome.kind === 'failed') throw new Error(outcome.problem.message);
  }
});
afterAll(() => host?.close());

const probe = (): Promise<ProbeReport> => host.executor.prober.probe(AbortSignal.timeout(180_000));

/** What of a probe is on this machine: containers, networks, images, links, routes, bridges in the rules. */
async function left(): Promise<string[]> {
  const { agent } = host.config;
  const filters = { label: [`berth.probe=${agent}`] };
  const containers = await host.docker.listContainers({ all: true, filters });
  const networks = await host.docker.listNetworks({ filters: { label: [`berth.agent=${agent}`] } });
  const images = await host.docker.listImages({ filters: { reference: [`berth-probe/${agent}`] } });
  const { stdout: links } = await run('ip', ['-o', 'link', 'show']);
  const { stdout: routes } = await run('ip', ['route', 'show', 'table', 'all']);
  const rules = JSON.stringify(await host.system.nft.readTable());
  return [
    ...containers.map((each) => `container ${each.Names.join()}`),
    ...networks.filter((each) => each.Name.includes('probe')).map((each) => `network ${each.Name}`),
    ...images.map((each) => `image ${each.Id}`),
    ...(links.includes(`bp${agent}`) ? ['link'] : []),
    ...(routes.includes(`bp${agent}`) ? ['route'] : []),
    ...(['2', '3'].some((slot) => rules.includes(`"${host.config.bridgePrefix}${slot}"`)) ? ['rules'] : []),
  ];
}

/** What it fails with; nobody may be looking when it does. */
function wordsOf(probing: Promise<ProbeReport>): Promise<string> {
  return probing.then(() => 'it ended well', String);
}

/** Resolves when a probe has made so much that it is in the middle of things. */
async function untilLeft(count: number): Promise<void> {
  const end = Date.now() + 60_000;
  while ((await left()).length < count) {
    if (Date.now() > end) throw new Error(`the probe had not made ${count} things within a minute`);
    await sleep(100);
  }
}

describe('a probe', () => {
  test('finds everything shut, in time, touches no tenant and leaves nothing behind', async () => {
    const before = await host.docker.getContainer(tenant).inspect();
    const rules = (await host.system.nft.readTable()).fixed;
    const report = await probe();
    expect(report.rows.filter((row) => row.verdict !== 'held' && row.verdict !== 'note')).toEqual([]);
    expect(probeHolds(report)).toBe(true);
    expect(report.ms).toBeLessThan(150_000);
    expect(report.rows.length).toBeGreaterThan(60);
    for (const area of ['network', 'host', 'metadata', 'kernel', 'files', 'limits', 'egress'] as const)
      expect(report.rows.filter((row) => row.area === area).length, area).toBeGreaterThan(3);
    expect(await left()).toEqual([]);
    expect((await host.system.nft.readTable()).fixed).toEqual(rules);
    const after = await host.docker.getContainer(tenant).inspect();
    expect(after.State).toEqual(before.State);
  }, 240_000);

  test('says what is open when rules are missing, by what it reaches', async () => {
    const table = host.system.nft.table;
    for (const chain of ['input', 'forward'])
      await run('nft', ['insert', 'rule', 'inet', table, chain, 'accept']);
    try {
      const report = await probe();
      expect(probeHolds(report)).toBe(false);
      const open = report.rows.filter((row) => row.verdict === 'open').map((row) => row.tried);
      expect(open.some((tried) => tried.startsWith('the host (own gateway)') && tried.includes('TCP'))).toBe(
        true,
      );
      expect(open.some((tried) => tried.startsWith('the host') && tried.includes('UDP'))).toBe(true);
      expect(open.some((tried) => tried.includes('link-local, where somebody answers'))).toBe(true);
      expect(open.some((tried) => tried.includes('ICMP'))).toBe(true);
    } finally {
      await host.system.nft.drop();
      await host.executor.ensureNetworkBase();
    }
    expect(await left()).toEqual([]);
  }, 240_000);

  test('calls nothing open because an address left the host meanwhile and now leads elsewhere', async () => {
    const { agent, virtualCidr } = host.config;
    // Sixteen ranges above those of the tests' agents.
    const passing = virtualCidr.replace(/^(\d+\.\d+)\.(\d+)\.0\/24$/, (_, head: string, third: string) =>
      [head, Number(third) + 16, 1].join('.'),
    );
    const space = `b${agent}`;
    const beyond = await createBeyond(agent);
    try {
      await run('ip', ['-n', space, 'addr', 'add', `${passing}/32`, 'dev', `${space}t`]);
      await run('ip', ['addr', 'add', `${passing}/32`, 'dev', 'lo']);
      const probing = probe();
      const filters = { label: [`berth.probe=${agent}`] };
      // Its programs are made by then, and not yet tried.
      for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50))
        if ((await host.docker.listContainers({ all: true, filters })).length > 0) break;
      await run('ip', ['addr', 'del', `${passing}/32`, 'dev', 'lo']);
      await run('ip', ['route', 'add', `${passing}/32`, 'dev', `${space}h`]);
      const { rows } = await probing;
      const about = rows.filter((row) => row.tried.includes(passing));
      expect(about.length).toBeGreaterThan(0);
      for (const { verdict, seen } of about)
        expect([verdict, seen]).toEqual(['untried', expect.stringContaining('did not stay an address')]);
      expect(rows.filter((row) => row.verdict === 'open')).toEqual([]);
    } finally {
      await run('ip', ['addr', 'del', `${passing}/32`, 'dev', 'lo']).catch(() => undefined);
      await beyond.close();
    }
  }, 240_000);

  test('is alone on its host', async () => {
    const first = probe();
    await expect(probe()).rejects.toMatchObject({ code: 'conflict' });
    await first;
  }, 240_000);

  test('that is given up takes everything away, and what a killed one left is swept by the next agent', async () => {
    const stop = new AbortController();
    const given = wordsOf(host.executor.prober.probe(stop.signal));
    await untilLeft(2);
    stop.abort(new Error('enough'));
    expect(await given).toContain('enough');
    expect(await left()).toEqual([]);

    // As after a kill: the agent that began it never tidies up.
    const dying = host.reborn();
    await dying.executor.ensureNetworkBase();
    const docker = dying.system.docker;
    const kill = new AbortController();
    const killed = wordsOf(dying.executor.prober.probe(kill.signal));
    await untilLeft(6);
    docker.listContainers = () => Promise.reject(new Error('killed'));
    kill.abort(new Error('killed'));
    expect(await killed).toContain('killed');
    expect((await left()).length).toBeGreaterThan(3);
    const next = host.reborn();
    await next.executor.ensureNetworkBase();
    await next.executor.prober.sweep(AbortSignal.timeout(30_000));
    expect(await left()).toEqual([]);
    expect((await host.docker.getContainer(tenant).inspect()).State.Running).toBe(true);
  }, 240_000);
});
