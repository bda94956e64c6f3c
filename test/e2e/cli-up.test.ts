import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { berthIn, type Said } from './support/berth.ts';

/** The whole of one machine, by the commands a person types. Needs Docker, Nginx, nft and root. */

const Instance = z.object({
  agent: z.string(),
  httpPort: z.number(),
  virtualCidr: z.string(),
  tenantCidr: z.string(),
  dockerSocket: z.string(),
});

type Berth = ReturnType<typeof berthIn>;

function instanceOf(berth: Berth): z.infer<typeof Instance> {
  return Instance.parse(JSON.parse(readFileSync(join(berth.home, 'instance.json'), 'utf8')));
}

function visit(port: number, domain: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, headers: { host: domain }, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    }).on('error', reject);
  });
}

function docker(socket: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    get({ socketPath: socket, path }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve(JSON.parse(body)));
    }).on('error', reject);
  });
}

const filter = (label: string): string => `filters=${encodeURIComponent(JSON.stringify({ label: [label] }))}`;

async function containers(socket: string, agent: string): Promise<string[]> {
  const list = await docker(socket, `/containers/json?all=1&${filter(`berth.agent=${agent}`)}`);
  return z
    .array(z.object({ Id: z.string() }))
    .parse(list)
    .map((one) => one.Id)
    .toSorted();
}

/** What carries this instance's marks anywhere on the machine. */
async function traces(instance: z.infer<typeof Instance>): Promise<string[]> {
  const { agent, dockerSocket: socket } = instance;
  const found: string[] = (await containers(socket, agent)).map((id) => `container ${id}`);
  const networks = await docker(socket, `/networks?${filter(`berth.agent=${agent}`)}`);
  found.push(
    ...z
      .array(z.object({ Name: z.string() }))
      .parse(networks)
      .map((one) => `network ${one.Name}`),
  );
  const images = await docker(socket, `/images/json?${filter(`berth.built=${agent}`)}`);
  found.push(
    ...z
      .array(z.object({ Id: z.string() }))
      .parse(images)
      .map((one) => `image ${one.Id}`),
  );
  const tables = execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });
  if (tables.includes(`berth_${agent}`)) found.push('an nft table');
  const routes = execFileSync('ip', ['route', 'show', 'table', 'all'], { encoding: 'utf8' });
  for (const cidr of [instance.virtualCidr, instance.tenantCidr])
    if (routes.includes(` ${cidr} `)) found.push(`route ${cidr}`);
  return found;
}

interface Running {
  child: ChildProcessWithoutNullStreams;
  text(): string;
  until(pattern: RegExp): Promise<void>;
  end(signal: NodeJS.Signals): Promise<number | null>;
}

function up(berth: Berth, ...args: string[]): Running {
  const child = berth.start(['up', ...args]);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const closed = once(child, 'close');
  return {
    child,
    text: () => text,
    until: (pattern) =>
      expect
        .poll(() => (child.exitCode === null ? text : `ended\n${text}`), { timeout: 100_000, interval: 50 })
        .toMatch(pattern),
    end: async (signal) => {
      child.kill(signal);
      await closed;
      return child.exitCode;
    },
  };
}

let berth: Berth;
const running: Running[] = [];
function start(...args: string[]): Running {
  const one = up(berth, ...args);
  running.push(one);
  return one;
}

async function cleanUp(): Promise<void> {
  for (const one of running.splice(0)) if (one.child.exitCode === null) await one.end('SIGKILL');
  const down = await berth.run(['down', '-y']);
  berth.remove();
  expect(down, down.stdout + down.stderr).toMatchObject({ code: 0 });
}

describe('an instance with the example', () => {
  beforeAll(() => {
    berth = berthIn('berth-up-');
  });
  afterAll(cleanUp);

  test('it comes up, shows its token once, and both tenants answer with their own words', async () => {
    const first = start('--example');
    await first.until(/2 tenants/);
    const { httpPort } = instanceOf(berth);
    expect(first.text()).toMatch(/token +berth_api_\w+/);
    expect(first.text()).toContain(`http://acme.shop.localhost:${httpPort}/`);
    expect(first.text().match(/\.\/bin\/berth tenant/g)?.length).toBeGreaterThanOrEqual(3);
    const [acme, globex] = [
      await visit(httpPort, 'acme.shop.localhost'),
      await visit(httpPort, 'globex.shop.localhost'),
    ];
    expect([acme.status, globex.status]).toEqual([200, 200]);
    expect(acme.body).toContain('"tenant":"acme"');
    const greeting = (body: string): string =>
      z.object({ greeting: z.string() }).parse(JSON.parse(body)).greeting;
    expect(greeting(acme.body)).not.toBe(greeting(globex.body));
    expect((await visit(httpPort, 'nobody.shop.localhost')).status).toBe(421);
  });

  test('no secret is readable by others, and the join token is gone', () => {
    expect(existsSync(join(berth.home, 'run', 'join-token'))).toBe(false);
    for (const file of [
      'cli.json',
      'instance.json',
      'coordinator/admin-token',
      'agent/agent.json',
      'logs/agent.log',
    ]) {
      expect(statSync(join(berth.home, file)).mode & 0o077, file).toBe(0);
    }
  });

  test('doctor finds nothing to complain about, for people and machines', async () => {
    const said = await berth.run(['doctor', '--json']);
    const answer = z
      .object({
        ok: z.boolean(),
        checks: z.array(z.object({ check: z.string(), state: z.string(), message: z.string() })),
      })
      .parse(JSON.parse(said.stdout));
    expect(answer.checks.filter((one) => one.state === 'fail')).toEqual([]);
    expect(said.code).toBe(0);
    expect(answer.checks.map((one) => one.check)).toEqual(
      expect.arrayContaining([
        'docker',
        'nginx',
        'nft',
        'conntrack',
        'memory',
        'disk',
        'ports',
        'addresses',
        'coordinator',
        'agents',
        'local agent',
        'clock',
      ]),
    );
  });

  test('a change is deployed live, and the answer changes', async () => {
    const said = await berth.run(['tenant', 'set', 'acme', '--var', 'GREETING=hi']);
    expect(said, said.stdout + said.stderr).toMatchObject({ code: 0 });
    expect(said.stdout).toMatch(/GREETING: .* → hi/);
    expect(said.stdout).toMatch(/✓ .*[Vv]erify through Nginx/);
    // Connections that Nginx keeps open to the old colour end within two seconds of the switch; new ones go to the new.
    const { httpPort } = instanceOf(berth);
    await expect
      .poll(async () => (await visit(httpPort, 'acme.shop.localhost')).body, {
        timeout: 10_000,
        interval: 250,
      })
      .toContain('"greeting":"hi"');
  });

  test('a second run for the same home is refused and harms nothing', async () => {
    const said = await berth.run(['up']);
    expect(said.code).toBe(1);
    expect(said.stderr).toMatch(/already runs .*\(process \d+\)/);
    expect((await berth.run(['status'])).code).toBe(0);
  });

  test('an agent that is killed is started again, and it is said', async () => {
    const first = running[0];
    const agent = z
      .object({ pid: z.number() })
      .parse(JSON.parse(readFileSync(join(berth.home, 'run', 'agent.json'), 'utf8')));
    process.kill(agent.pid, 'SIGKILL');
    await first?.until(/the agent died \(SIGKILL\)[^]*the agent is back/);
    await expect
      .poll(async () => (await berth.run(['status', '--json'])).stdout, { timeout: 20_000 })
      .toMatch(/"online": 1/);
  });

  test('Ctrl-C stops coordinator and agent and nothing else', async () => {
    const { agent, dockerSocket, httpPort } = instanceOf(berth);
    const before = await containers(dockerSocket, agent);
    expect(before.length).toBeGreaterThanOrEqual(4);
    expect(await running[0]?.end('SIGINT')).toBe(0);
    expect(running[0]?.text()).toMatch(/still answering without them: acme \(200\), globex \(200\)/);
    expect(await containers(dockerSocket, agent)).toEqual(before);
    expect((await visit(httpPort, 'acme.shop.localhost')).status).toBe(200);
    expect((await berth.run(['status'])).code).toBe(3);
  });

  test('the next start adopts the tenants without a restart, and shows no token', async () => {
    const { agent, dockerSocket } = instanceOf(berth);
    const before = await containers(dockerSocket, agent);
    const began = performance.now();
    const second = start('--example');
    await second.until(/Try next/);
    expect(performance.now() - began).toBeLessThan(20_000);
    expect(second.text()).not.toContain('berth_api_');
    expect(second.text()).toMatch(/acme is here already/);
    const after = await containers(dockerSocket, agent);
    // The old colour may be tidied away meanwhile; what serves is never made anew.
    expect(after.filter((id) => !before.includes(id))).toEqual([]);
  });

  test('a run that was killed leaves daemons that the next one names, and down removes it all', async () => {
    const instance = instanceOf(berth);
    await running.at(-1)?.end('SIGKILL');
    const refused = await berth.run(['up']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/of an earlier run still runs.*kill \d+/);
    const asked = await berth.run(['down']);
    expect(asked.code).toBe(2);
    expect(asked.stdout).toContain(`${instance.agent}-acme`);

    const file = join(berth.home, 'instance.json');
    const kept = readFileSync(file, 'utf8');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(kept), dockerSocket: join(berth.dir, 'no.sock') }));
    const without = await berth.run(['down', '-y']);
    expect(without.code).toBe(1);
    expect(without.stderr).toContain(`berth.agent=${instance.agent}`);
    writeFileSync(file, kept);

    const down = await berth.run(['down', '-y']);
    expect(down, down.stdout + down.stderr).toMatchObject({ code: 0 });
    expect(await traces(instance)).toEqual([]);
    expect(existsSync(berth.home)).toBe(false);
    expect(await berth.run(['down', '-y'])).toMatchObject({ code: 0 });
  });
});

describe('everything once', () => {
  beforeEach(() => {
    berth = berthIn('berth-once-');
  });
  afterEach(cleanUp);

  const last = (said: Pick<Said, 'stdout'>): unknown =>
    JSON.parse(said.stdout.trimEnd().split('\n').at(-1) ?? '');

  test('two tenants, a switch under load without a failed request, and nothing left behind', async () => {
    const said = await berth.run(['up', '--once', '--example']);
    expect(said, said.stdout + said.stderr).toMatchObject({ code: 0 });
    const summary = z
      .object({
        ok: z.boolean(),
        tenants: z.number(),
        seconds: z.number(),
        switch: z.object({
          requests: z.number(),
          failed: z.number(),
          answers: z.record(z.string(), z.number()),
        }),
      })
      .parse(last(said));
    expect(summary).toMatchObject({ ok: true, tenants: 2, switch: { failed: 0 } });
    expect(Object.keys(summary.switch.answers).toSorted()).toEqual(['version 1', 'version 2']);
    expect(summary.switch.requests).toBeGreaterThan(100);
    expect(existsSync(join(berth.home, 'once'))).toBe(false);
  });

  test('a signal in the middle still tears everything down', async () => {
    const child = berth.start(['up', '--once', '--example']);
    const said = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (said.stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said.stderr += chunk));
    const closed = once(child, 'close');
    await expect.poll(() => said.stderr, { timeout: 60_000, interval: 20 }).toMatch(/acme: deploying/);
    const instance = Instance.parse(
      JSON.parse(readFileSync(join(berth.home, 'once', 'instance.json'), 'utf8')),
    );
    child.kill('SIGTERM');
    await closed;
    expect(child.exitCode).toBe(1);
    expect(last(said)).toMatchObject({ ok: false, problem: 'interrupted' });
    expect(await traces(instance)).toEqual([]);
  });
});
