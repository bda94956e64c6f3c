import { existsSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { AWS_ENV } from '../fakes/aws-json.ts';
import { startSsm, type SsmDouble } from '../fakes/ssm.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { foundBelow, foundIn, plant, watchProcesses } from '../support/planted.ts';
import { berthIn } from './support/berth.ts';

/** A whole life with unmistakable values, and then a search through all that was written meanwhile. */

const TMPFS = 0x01021994;
const docker = dockerAt(sharedSocket());
const berth = berthIn('berth-nowhere-');
const file = plant('a file', (word) => `sk_live_${word}!"§$%&/ ü`);
const fresh = plant('the file’s next value', (word) => `${word}\n`);
const lines = plant('several lines', (word) => `-----BEGIN-----\n${word}\nand more of it\n-----END-----\n`);
const binary = plant('bytes', (word) => `\0\x01${word}\xff`);
const kept = plant('what AWS keeps', (word) => word);
const inEnv = plant('a variable', (word) => `postgres://user:${word}@db/shop?a=b`);
const planted = [file, fresh, lines, binary, kept, inEnv];

let fleet: Fleet;
let agent: AgentProcess;
let image: string;
let ssm: SsmDouble;
const before = { ...process.env };
let watch: ReturnType<typeof watchProcesses>;

/** What its containers print: the value as it is, in base64, in hex. */
const TELL =
  'cat /run/secrets/*; busybox base64 /run/secrets/FILE; busybox hexdump -v -e \'1/1 "%02x"\' /run/secrets/FILE; echo; env';

const template = (command: string, release: string): string => `
secrets: { FILE: , LINES: , BINARY: , KEPT: , DSN: }
services:
  web:
    image: ${image}
    command: ${JSON.stringify(['sh', '-c', command])}
    environment: { VERSION: "\${VERSION:-1}" }
    secrets: [FILE, LINES, BINARY, KEPT]
    tmpfs: [/tmp]
    healthcheck: { test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"], interval: 1s, start_interval: 100ms, retries: 2 }
    stop_grace_period: 1s
    deploy: { resources: { limits: { memory: 64M, cpus: "1.0" }, reservations: { memory: 8M, cpus: "0.01" } } }
    x-berth: { route: { port: 8080 }, drain: 1s, secrets: { env: { DATABASE_URL: DSN } } }
x-berth:
  bake: 500ms
  release: { service: web, command: ${JSON.stringify(['sh', '-c', release])} }
`;

beforeAll(async () => {
  image = await webImage(docker);
  fleet = await startFleet();
  agent = await fleet.addAgent();
  Object.assign(process.env, AWS_ENV);
  ssm = await startSsm();
  ssm.parameters.set('/kept', kept.value.toString());
  agent.configure({ secrets: { endpoint: ssm.url } });
  await fleet.restart(agent);
  // The container's own Nginx holds a secret in its environment, for the template asks for that; Berth's does not.
  watch = watchProcesses(
    planted,
    (argv, pid) =>
      pid !== process.pid &&
      (/\/(agent|coordinator|cli|agent-aws)\.js|^(mount|nft|ip) /.test(argv) || argv.includes(fleet.dir)),
  );
});
afterAll(async () => {
  watch?.stop();
  for (const name of Object.keys(AWS_ENV)) delete process.env[name];
  Object.assign(process.env, before);
  await ssm?.close();
  await fleet?.close();
  berth.remove();
});

const openDir = (): string => join(agent.stateDir, 'secrets', 'open');

/** Everything on disk of coordinator, agent, Nginx and command line: all but the memory for containers. */
const onDisk = (): string[] =>
  [fleet.dir, berth.dir].flatMap((dir) => foundBelow(dir, planted, (path) => path === openDir()));

async function inLabels(): Promise<string[]> {
  const found: string[] = [];
  for (const { Id, Names } of await docker.listContainers({ all: true })) {
    const details = await docker
      .getContainer(Id)
      .inspect()
      .catch(() => null);
    if (details === null) continue;
    const { Env: _kept, ...config } = details.Config;
    for (const name of foundIn(JSON.stringify({ ...details, Config: config }), planted))
      found.push(`${Names[0]}: ${name}`);
  }
  return found;
}

/** Everything that the API tells anybody. */
async function told(): Promise<string> {
  const api = fleet.api();
  const params = { tenant: 'acme' };
  const maybe = async (work: Promise<unknown>): Promise<unknown> =>
    await work.catch((thrown: unknown) => String(thrown));
  return JSON.stringify([
    await api.listAudit({ query: { limit: 1000 } }),
    await api.listEvents({ query: { limit: 1000 } }),
    fleet.journal.events,
    ...(await Promise.all([
      maybe(api.showTenant({ params })),
      maybe(api.explainTenant({ params })),
      maybe(api.tenantConfig({ params })),
      maybe(api.tenantHistory({ params, query: {} })),
      maybe(api.listSecrets({ params })),
      maybe(api.tenantLogs({ params, query: { lines: 1000 } })),
      maybe(api.planTenant({ params, body: { variables: { VERSION: '9' } } })),
    ])),
  ]);
}

async function cli(args: readonly string[], stdin?: string) {
  const env = {
    BERTH_URL: fleet.coordinator.url(),
    BERTH_TOKEN: readFileSync(join(fleet.dir, 'admin-token'), 'utf8').trim(),
  };
  return await berth.run(args, { env, ...(stdin === undefined ? {} : { stdin }) });
}

describe('no planted secret', () => {
  test('escapes the search itself: each form is found where it is written', () => {
    for (const each of planted) {
      const word = each.forms[0]?.toString() ?? '';
      for (const text of [
        each.value,
        each.value.toString('base64'),
        Buffer.concat([Buffer.from('x'), each.value]).toString('base64'),
        Buffer.from(`xy${word}z`).toString('base64'),
        each.value.toString('hex'),
        encodeURIComponent(word),
        JSON.stringify(each.value.toString()),
      ])
        expect(foundIn(text, planted)).toEqual([each.name]);
    }
    expect(foundIn('nothing of the kind', planted)).toEqual([]);
  });

  test('is in anything that was written in a tenant’s whole life', async () => {
    const api = fleet.api();
    const value = (each: { value: Buffer }) => ({
      kind: 'value' as const,
      value: each.value.toString('base64'),
    });
    const params = { tenant: 'acme' };

    // It is made, and runs; what it prints is its own, and Docker's.
    await fleet.apply('vault', template(`(${TELL}) >&2; exec serve`, 'true'));
    const secrets = {
      FILE: value(file),
      LINES: value(lines),
      BINARY: value(binary),
      DSN: value(inEnv),
      KEPT: { kind: 'reference' as const, from: 'aws-ssm:/kept' },
    };
    const made = await api.createTenant({
      body: { tenant: 'acme', app: 'vault', domains: ['acme.test'], host: agent.host(), secrets },
    });
    await fleet.untilLive(made);
    await fleet.untilSettled('acme', 1);
    // The search would find them if they were there: they are, in memory alone.
    expect(statfsSync(openDir()).type).toBe(TMPFS);
    expect(new Set(foundBelow(openDir(), planted, () => false).map((each) => each.split(': ')[1]))).toEqual(
      new Set([file.name, lines.name, binary.name, kept.name]),
    );
    expect(onDisk()).toEqual([]);
    expect(foundIn(await told(), planted)).toEqual([]);

    // A new value by the command line, from stdin.
    const said = await cli(['tenant', 'secret', 'set', 'acme', 'FILE'], fresh.value.toString());
    expect(said).toMatchObject({ code: 0 });
    expect(foundIn(`${said.stdout}${said.stderr}`, planted)).toEqual([]);

    // A migration fails and prints them in every form; a container dies and prints them.
    const migrating = await fleet.apply('vault', template('exec serve', `${TELL}; exit 3`));
    const failing = await fleet.release('acme', migrating);
    const problem = await fleet.untilTrouble('tenant.failed', failing);
    expect(problem.logTail.join('\n')).toContain('[redacted');
    const dying = await fleet.release(
      'acme',
      await fleet.apply('vault', template(`${TELL}; exit 4`, 'true')),
    );
    const death = await fleet.untilTrouble('tenant.failed', dying);
    expect(death.logTail.join('\n')).toContain('[redacted');
    expect(foundIn(await told(), planted)).toEqual([]);

    // Both daemons die in the middle of a deploy.
    await fleet.restart(agent, { failpoint: 'after:secrets.open@acme' });
    const release = await fleet.apply('vault', template(`(${TELL}) >&2; exec serve`, 'sleep 1'));
    const killed = await fleet.release('acme', release);
    await agent.ended();
    await fleet.coordinator.kill();
    await fleet.coordinator.start();
    await fleet.restart(agent);
    await fleet.untilSettled('acme', killed.generation, { timeoutMs: 60_000 });
    const [web] = (await fleet.containers('acme')).filter((each) => each.state === 'running');
    expect(web).toBeDefined();

    // On, back, and the key changed.
    const next = await fleet.release('acme', await fleet.apply('vault', template('exec serve', 'true')));
    await fleet.untilSettled('acme', next.generation, { timeoutMs: 60_000 });
    const back = await api.rollbackTenant({ params, body: {} });
    await fleet.untilSettled('acme', back.generation, { timeoutMs: 60_000 });
    const rotated = await cli(['secret', 'rotate-key', '-y']);
    expect(rotated).toMatchObject({ code: 0 });
    expect(foundIn(`${rotated.stdout}${rotated.stderr}`, planted)).toEqual([]);
    expect(onDisk()).toEqual([]);
    expect(await inLabels()).toEqual([]);
    expect(foundIn(await told(), planted)).toEqual([]);

    // It goes, and nothing of it stays on the host.
    const gone = await api.deleteTenant({ params });
    await fleet.journal.until('that it is gone', (event) => event.kind === 'tenant.removed', {
      after: gone.afterEvent,
    });
    await expect
      .poll(() => existsSync(join(agent.stateDir, 'secrets', 'sealed', 'acme')), { timeout: 20_000 })
      .toBe(false);
    expect(foundBelow(openDir(), planted, () => false)).toEqual([]);
    expect(onDisk()).toEqual([]);
    expect(await inLabels()).toEqual([]);
    expect(foundIn(await told(), planted)).toEqual([]);
    expect(watch.looks()).toBeGreaterThan(100);
    expect(watch.stop()).toEqual([]);
  }, 180_000);

  test('would have gone unnoticed: a file with one of them is found by the very same search', () => {
    writeFileSync(join(fleet.dir, 'control'), `x${file.value.toString('base64')}`);
    expect(onDisk()).toEqual([`${join(fleet.dir, 'control')}: ${file.name}`]);
  });
});
