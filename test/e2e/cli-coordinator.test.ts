import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { berthIn, startCoordinator } from './support/berth.ts';
import { playingAgent } from './support/playing-agent.ts';

const COMPOSE = `name: shop
services:
  web:
    image: shop:\${VERSION:-1}
    env_file: [common.env]
    environment: { GREETING: "\${GREETING:-hello}", FAIL_HEALTH: "\${FAIL_HEALTH:-}" }
    deploy: { resources: { limits: { cpus: "0.10", memory: 32M } } }
    x-berth: { route: { port: 8080 } }
`;

const berth = berthIn('berth-cli-');
let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let agent: Awaited<ReturnType<typeof playingAgent>>;

beforeAll(async () => {
  coordinator = await startCoordinator(berth.dir);
  agent = await playingAgent(coordinator.url, coordinator.token);
  berth.file('compose.yaml', COMPOSE);
  berth.file('common.env', 'SHARED=yes\n');
  const login = await berth.run(['login', coordinator.url, '--token', '-'], { stdin: coordinator.token });
  expect(login).toMatchObject({ code: 0, stderr: '' });
  const applied = await berth.run(['app', 'apply', '-f', 'compose.yaml', '--json']);
  expect(JSON.parse(applied.stdout)).toMatchObject({ app: 'shop', release: 1, result: 'created' });
});
afterAll(async () => {
  agent?.close();
  await coordinator?.stop();
  berth.remove();
});

async function json(args: readonly string[]): Promise<unknown> {
  const said = await berth.run([...args, '--json']);
  expect(said, `${args.join(' ')}: ${said.stderr}`).toMatchObject({ code: 0 });
  return JSON.parse(said.stdout);
}

async function create(tenant: string, ...more: string[]) {
  const args = ['tenant', 'create', tenant, '--app', 'shop', '--domain', `${tenant}.shop.localhost`, ...more];
  return berth.run(args);
}

test('a login is kept for its owner only, and the token never came from the command line', () => {
  expect(statSync(join(berth.home, 'cli.json')).mode & 0o777).toBe(0o600);
});

test('a token on the command line is taken, with a warning', async () => {
  const env = { BERTH_CONFIG: join(berth.dir, 'other.json') };
  const said = await berth.run(['login', coordinator.url, '--token', coordinator.token], { env });
  expect(said.code).toBe(0);
  expect(said.stderr).toContain('warning:');
  expect(said.stdout).not.toContain(coordinator.token);
});

test('creating a tenant shows where it goes, each step, and ends with its URL', async () => {
  const said = await create('acme', '--var', 'GREETING=hi');
  expect(said, said.stderr).toMatchObject({ code: 0 });
  expect(said.stdout).toMatch(/host +stage/);
  expect(said.stdout).toMatch(/✓ image shop:1 0\.0 s\n {2}✓ start web .*\n {2}✓ wait until web is healthy/);
  expect(said.stdout).toMatch(/✓ acme is live, generation 1, [\d.]+ s\n {2}http:\/\/acme\.shop\.localhost/);
});

test('a change shows the plan with before and after, then deploys it', async () => {
  await create('beta');
  const said = await berth.run(['tenant', 'set', 'beta', '--var', 'GREETING=good day']);
  expect(said, said.stderr).toMatchObject({ code: 0 });
  expect(said.stdout).toMatch(/web environment GREETING: hello → good day/);
  expect(said.stdout).toMatch(/Generation 1 → 2/);
  expect(said.stdout).toMatch(/ {2}1\. image shop:1/);
  expect(said.stdout).toContain('beta is live, generation 2');
  const again = await berth.run(['tenant', 'set', 'beta', '--var', 'GREETING=good day']);
  expect(again.code).toBe(0);
  expect(again.stdout).toContain('Nothing would change.');
});

test('a plan changes nothing', async () => {
  await create('gamma');
  const plan = await json(['tenant', 'plan', 'gamma', '--var', 'GREETING=x', '--release', '1']);
  expect(plan).toMatchObject({
    effect: 'new-generation',
    fromGeneration: 1,
    toGeneration: 2,
    stepsFrom: 'agent',
  });
  expect(await json(['tenant', 'show', 'gamma'])).toMatchObject({ generation: 1 });
});

test('a deploy that fails ends with its step, the last ten log lines and where to look, and exit code 1', async () => {
  const said = await create('delta', '--var', 'FAIL_HEALTH=1');
  expect(said.code).toBe(1);
  expect(said.stdout).toMatch(/✗ wait until web is healthy/);
  expect(said.stdout).toMatch(/containers\.probe \(web\): web did not become healthy/);
  expect(said.stdout.match(/│ last words \d+/g)).toHaveLength(10);
  expect(said.stdout.trimEnd().endsWith('berth tenant explain delta')).toBe(true);
  const explained = await berth.run(['tenant', 'explain', 'delta']);
  expect(explained.code).toBe(0);
  expect(explained.stdout).toMatch(/failed at containers\.probe \(web\)/);
  expect(explained.stdout.trimEnd().endsWith('│ last words 10')).toBe(true);
});

test('with --json a deploy is one document, also when it fails', async () => {
  const well = await json(['tenant', 'create', 'eps', '--app', 'shop', '--domain', 'eps.localhost']);
  expect(well).toMatchObject({ outcome: 'live', generation: 1, problem: null });
  const said = await berth.run(['tenant', 'set', 'eps', '--var', 'FAIL_HEALTH=1', '--json']);
  expect(said.code).toBe(1);
  expect(JSON.parse(said.stdout)).toMatchObject({ outcome: 'failed', problem: { code: 'health_failed' } });
});

test('pause, resume and restart follow to their end', async () => {
  await create('zeta');
  expect(await json(['tenant', 'pause', 'zeta'])).toMatchObject({ outcome: 'paused' });
  expect(await json(['tenant', 'resume', 'zeta'])).toMatchObject({ outcome: 'live' });
  expect(await json(['tenant', 'restart', 'zeta'])).toMatchObject({ outcome: 'live', generation: 2 });
  expect(await json(['tenant', 'restart', 'zeta', '--no-wait'])).toMatchObject({
    generation: 3,
    result: 'changed',
  });
});

test('a delete without a terminal needs -y, and says what goes', async () => {
  await create('eta');
  const asked = await berth.run(['tenant', 'delete', 'eta']);
  expect(asked.code).toBe(2);
  expect(asked.stdout).toContain('route eta.shop.localhost');
  expect(asked.stderr).toContain('-y');
  const done = await berth.run(['tenant', 'delete', 'eta', '-y']);
  expect(done, done.stderr).toMatchObject({ code: 0 });
  expect(done.stdout).toContain('eta is removed');
  expect((await berth.run(['tenant', 'show', 'eta'])).code).toBe(1);
});

test('every question answers with one JSON document', async () => {
  await create('theta');
  const host = agent.host;
  const questions = [
    ['status'],
    ['app', 'list'],
    ['app', 'show', 'shop'],
    ['tenant', 'list'],
    ['tenant', 'list', '--app', 'shop', '--host', 'stage'],
    ['tenant', 'show', 'theta'],
    ['tenant', 'config', 'theta'],
    ['tenant', 'explain', 'theta'],
    ['tenant', 'logs', 'theta', 'web', '--lines', '5'],
    ['host', 'list'],
    ['host', 'show', 'stage'],
    ['host', 'cordon', host],
    ['host', 'uncordon', 'stage'],
    ['host', 'join-token', '--ttl', '1m'],
    ['events', '--limit', '5'],
    ['audit', '--limit', '5'],
    ['token', 'create', 'ci', '--role', 'viewer', '--ttl', '1d'],
    ['token', 'list'],
  ];
  for (const question of questions) {
    expect(await json(question), question.join(' ')).toBeTypeOf('object');
    const human = await berth.run(question);
    expect(human, question.join(' ')).toMatchObject({ code: 0 });
    expect(human.stdout, question.join(' ')).not.toContain('\u001b');
  }
});

test('a config tells each value and where it comes from, and log lines cannot paint the screen', async () => {
  await create('iota', '--var', 'GREETING=own');
  const config = await berth.run(['tenant', 'config', 'iota']);
  expect(config.stdout).toMatch(/GREETING +"own" +tenant/);
  expect(config.stdout).toMatch(/VERSION +"1" +default of the file/);
  const logs = await berth.run(['tenant', 'logs', 'iota']);
  expect(logs.stdout).toBe('web │ listening\nweb │ red\n');
});

test('events are followed as JSON lines until they are interrupted', async () => {
  const child = berth.start(['events', '-f', '--tenant', 'kappa', '--json']);
  const lines = createInterface({ input: child.stdout });
  try {
    const first = once(lines, 'line');
    await create('kappa');
    const [line] = await first;
    expect(JSON.parse(String(line))).toMatchObject({ tenant: 'kappa', kind: 'tenant.created' });
  } finally {
    child.kill('SIGINT');
    await once(child, 'close');
  }
});

test('a refused Compose file is named with its line and column', async () => {
  const file = berth.file('bad.yaml', 'name: bad\nservices:\n  web:\n    image: x\n    privileged: true\n');
  const said = await berth.run(['app', 'apply', '-f', file]);
  expect(said.code).toBe(2);
  expect(said.stderr).toMatch(new RegExp(`${file}:5:\\d+: services\\.web\\.privileged: `));
  const machine = await berth.run(['app', 'apply', '-f', file, '--json']);
  expect(JSON.parse(machine.stderr)).toMatchObject({
    error: { code: 'invalid_compose', details: { findings: [{ line: 5 }] } },
  });
});

test('a Compose file may come from stdin, and what cannot be read is said without codes of the system', async () => {
  const text = 'name: piped\nservices:\n  web:\n    image: x\n    x-berth: { route: { port: 80 } }\n';
  const said = await berth.run(['app', 'apply', '-f', '-'], { stdin: text });
  expect(said, said.stderr).toMatchObject({ code: 0 });
  expect(said.stdout).toContain('piped: release 1 created\nNext, a customer of it: berth tenant create');
  const folder = await berth.run(['app', 'apply', '-f', '.']);
  expect(folder).toMatchObject({ code: 2, stderr: 'error: . could not be read: it is a directory.\n' });
  const gone = await berth.run(['app', 'apply', '-f', 'gone.yaml']);
  expect(gone).toMatchObject({
    code: 2,
    stderr: 'error: gone.yaml could not be read: there is no such file.\n',
  });
});

test('a wrong option is found out before anything is changed', async () => {
  await create('lambda');
  const said = await berth.run(['tenant', 'set', 'lambda', '--var', 'GREETING=x', '--timeout', 'banana']);
  expect(said.code).toBe(2);
  expect(await json(['tenant', 'show', 'lambda'])).toMatchObject({ generation: 1 });
});

test('a variable that the template does not use is warned of, with the name that was meant', async () => {
  const said = await create('mu', '--var', 'GREETNG=hi');
  expect(said.stdout).toContain('warning: variables.GREETNG: the template does not use this variable');
  expect(said.stdout).toContain('did you mean GREETING?');
  const changed = await json(['tenant', 'set', 'mu', '--var', 'GREETNG=ho']);
  expect(changed).toMatchObject({ outcome: 'unchanged', warnings: [{ path: 'variables.GREETNG' }] });
});

test('an env file that is missing is named, and its values reach the tenant when it is there', async () => {
  writeFileSync(join(berth.dir, 'other.yaml'), COMPOSE.replace('common.env', 'gone.env'));
  const said = await berth.run(['app', 'apply', '-f', 'other.yaml']);
  expect(said.code).toBe(2);
  expect(said.stderr).toContain('gone.env');
});

test('each class of trouble has its exit code', async () => {
  const viewer = await json(['token', 'create', 'only-looks', '--role', 'viewer']);
  const token = String((viewer as { token: string }).token);
  const codes = async (args: string[], env: NodeJS.ProcessEnv = {}) => (await berth.run(args, { env })).code;
  expect(await codes(['tenant', 'show', 'nobody'])).toBe(1);
  expect(await codes(['tenant', 'lst'])).toBe(2);
  expect(await codes(['tenant', 'create', 'x'])).toBe(2);
  expect(await codes(['tenant', 'create', 'x;y', '--app', 'shop', '--domain', 'a.b'])).toBe(2);
  expect(await codes(['status', '--url', 'http://127.0.0.1:1'])).toBe(3);
  expect(await codes(['status'], { BERTH_TOKEN: 'wrong' })).toBe(4);
  expect(await codes(['status'], { BERTH_TOKEN: token })).toBe(0);
  expect(await codes(['token', 'list'], { BERTH_TOKEN: token })).toBe(4);
  expect(await codes(['host', 'cordon', agent.host], { BERTH_TOKEN: token })).toBe(4);
});

test('a mistyped command is met with the right one, in both formats', async () => {
  const human = await berth.run(['tenent', 'list']);
  expect(human.stderr).toContain('Did you mean tenant?');
  const machine = await berth.run(['tenant', 'lst', '--json']);
  expect(JSON.parse(machine.stderr)).toMatchObject({ error: { code: 'usage' } });
});
