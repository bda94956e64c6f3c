import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEcr, type EcrDouble } from '../fakes/ecr.ts';
import { testDocker } from '../integration/support/docker.ts';
import { busyboxImage } from '../integration/support/images.ts';
import { push, startRegistry, type RealRegistry } from '../integration/support/registry.ts';
import { makeCertificate, type Certificate } from '../integration/support/token-server.ts';
import { start, type Running } from '../support/processes.ts';
import { program } from '../support/programs.ts';
import { berthIn } from './support/berth.ts';

const berth = berthIn('berth-release-');
const logFile = join(berth.dir, 'coordinator.log');
const docker = testDocker();
let certificate: Certificate;
let secured: RealRegistry;
let ecrRegistry: RealRegistry;
let ecr: EcrDouble;
let coordinator: Running;
let digest: string;

beforeAll(async () => {
  const image = await busyboxImage(docker);
  certificate = await makeCertificate();
  const ci = { username: 'ci', password: 'open-sesame' } as const;
  secured = await startRegistry({ kind: 'htpasswd', ...ci }, certificate);
  digest = await push(docker, image, { host: secured.host, name: 'web', tag: '1' }, ci);
  await push(docker, image, { host: secured.host, name: 'web', tag: '2' }, ci);
  const aws = { username: 'AWS', password: 'token-one' } as const;
  ecrRegistry = await startRegistry({ kind: 'htpasswd', ...aws });
  await push(docker, image, { host: ecrRegistry.host, name: 'job', tag: '1' }, aws);
  ecr = await startEcr({ id: 'AKIDTEST', region: 'eu-test-1' }, () => ({
    ...aws,
    expiresAt: Date.now() + 12 * 3_600_000,
  }));
  const config = berth.file(
    'coordinator.json',
    JSON.stringify({
      listen: { host: '127.0.0.1', port: 0 },
      store: { path: join(berth.dir, 'berth.db') },
      adminTokenFile: join(berth.dir, 'admin-token'),
      logLevel: 'debug',
      registries: [
        {
          host: secured.host,
          insecure: false,
          username: 'ci',
          passwordFile: berth.file('password', 'open-sesame\n'),
        },
        { host: ecrRegistry.host, kind: 'ecr', region: 'eu-test-1', endpoint: ecr.url },
      ],
    }),
  );
  coordinator = start([process.execPath, program('coordinator'), '--config', config], {
    logFile,
    env: {
      NODE_EXTRA_CA_CERTS: certificate.certificate,
      AWS_ACCESS_KEY_ID: 'AKIDTEST',
      AWS_SECRET_ACCESS_KEY: 'very-secret',
    },
  });
  const { url } = await coordinator.ready;
  const token = readFileSync(join(berth.dir, 'admin-token'), 'utf8').trim();
  const login = await berth.run(['login', String(url), '--token', '-'], { stdin: token });
  expect(login, login.stderr).toMatchObject({ code: 0 });
  berth.file(
    'compose.yaml',
    `services:
  web:
    image: ${secured.host}/web:\${VERSION}
    environment: { GREETING: "\${GREETING:-hello}" }
    deploy: { resources: { limits: { cpus: "0.10", memory: 32M } } }
    x-berth: { route: { port: 8080 } }
  job:
    image: ${ecrRegistry.host}/job:1
`,
  );
});
afterAll(async () => {
  await coordinator?.kill('SIGTERM');
  await ecr?.close();
  await ecrRegistry?.close();
  await secured?.close();
  certificate?.remove();
  berth.remove();
});

const create = (...more: string[]) => berth.run(['release', 'create', 'shop', '-f', 'compose.yaml', ...more]);
async function json(...args: string[]): Promise<unknown> {
  const said = await berth.run([...args, '--json']);
  expect(said, said.stderr).toMatchObject({ code: 0 });
  return JSON.parse(said.stdout);
}

test('a release is pinned from a registry behind TLS and from one behind ECR, by the shipped program', async () => {
  const said = await create('--set', 'VERSION=1', '--label', 'commit=abc');
  expect(said, said.stderr).toMatchObject({ code: 0 });
  expect(said.stdout).toContain('shop: release 1 created, its images are pinned');
  expect(said.stdout).toContain(`web: ${secured.host}/web:1 sha256:${digest.slice(7, 19)}…`);
  expect(ecr).toMatchObject({ asked: 1, refused: [] });
  const again = await create('--set', 'VERSION=1');
  expect(again.stdout).toContain('nothing new, release 1 stays the newest');
  expect(await json('release', 'show', 'shop', '1')).toMatchObject({
    images: 'pinned',
    variables: { VERSION: '1' },
    pins: { web: { reference: `${secured.host}/web@${digest}` } },
  });
});

test('a missing variable, image or file is said with its place, and nothing is made', async () => {
  const variable = await create();
  expect(variable.code).toBe(2);
  expect(variable.stderr).toMatch(/compose\.yaml:3:\d+: services\.web\.image: .*`VERSION`/);
  const image = await create('--set', 'VERSION=77');
  expect(image.code).toBe(1);
  expect(image.stderr).toContain(`has no tag 77 of web`);
  expect((await create('--set', 'VERSION')).stderr).toContain('--set VERSION is not NAME=VALUE');
  const { items } = JSON.parse((await berth.run(['release', 'list', 'shop', '--json'])).stdout) as {
    items: unknown[];
  };
  expect(items).toHaveLength(1);
});

test('releases are listed with labels, and compared', async () => {
  const second = await create('--set', 'VERSION=2', '--set', 'GREETING=hi', '--label', 'build=58');
  expect(second, second.stderr).toMatchObject({ code: 0 });
  const list = await berth.run(['release', 'list', 'shop']);
  expect(list.stdout).toMatch(/^2 .*pinned +build=58/m);
  expect(list.stdout).toMatch(/^1 .*pinned +commit=abc/m);
  const diff = await berth.run(['release', 'diff', 'shop', '1', '2']);
  expect(diff.stdout).toMatch(
    /^Images\n {2}web:\s+\S+\/web:1@sha256:\w{12}…\s+→ \S+\/web:2@sha256:\w{12}…$/m,
  );
  expect(diff.stdout).toContain('web environment GREETING: hello → hi');
  expect(await json('release', 'diff', 'shop', '2', '2')).toMatchObject({ changes: [] });
  const shown = await berth.run(['release', 'show', 'shop', '2']);
  expect(shown.stdout).toContain('GREETING=hi');
});

test('the variables of an app are set, and deploy nothing', async () => {
  const said = await berth.run(['app', 'set', 'shop', '--var', 'GREETING=from app']);
  expect(said, said.stderr).toMatchObject({ code: 0 });
  expect(said.stdout).toMatch(/GREETING +"from app"/);
  expect(said.stdout).toContain('Nothing is deployed by this');
  const gone = await json('app', 'set', 'shop', '--unset', 'GREETING');
  expect(gone).toEqual({ app: 'shop', result: 'changed', variables: {} });
});

test('a registry that goes away midway leaves no release, and the next try makes it', async () => {
  await ecrRegistry.kill();
  const refused = await create('--set', 'VERSION=1', '--set', 'GREETING=later');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(new RegExp(`${ecrRegistry.host} could not be asked \\(ECONNREFUSED\\)`));
  expect(await json('app', 'show', 'shop')).toMatchObject({ release: 2 });
  await ecrRegistry.start();
  const made = await create('--set', 'VERSION=1', '--set', 'GREETING=later');
  expect(made.stdout).toContain('release 3 created');
});

test('the SDK is in a program of its own, which the shipped agent runs to ask ECR', async () => {
  const agent = program('agent');
  expect(readFileSync(agent, 'utf8')).not.toContain('AmazonEC2ContainerRegistry');
  const before = ecr.asked;
  const child = spawn(process.execPath, [join(dirname(agent), 'agent-ecr.js')], {
    env: { AWS_ACCESS_KEY_ID: 'AKIDTEST', AWS_SECRET_ACCESS_KEY: 'very-secret' },
  });
  child.stdin.end(JSON.stringify({ region: 'eu-test-1', endpoint: ecr.url }));
  const said: unknown = JSON.parse(await text(child.stdout));
  expect(said).toMatchObject({ kind: 'token', username: 'AWS', password: 'token-one' });
  expect(ecr).toMatchObject({ asked: before + 1, refused: [] });
});

test('no secret is in the log', () => {
  const log = readFileSync(logFile, 'utf8');
  expect(log).toContain('/api/v1/apps/{app}/releases');
  for (const secret of ['open-sesame', 'token-one', 'very-secret', btoa('ci:open-sesame')])
    expect(log).not.toContain(secret);
});
