import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { AWS_ENV } from '../fakes/aws-json.ts';
import { startSsm, type SsmDouble } from '../fakes/ssm.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';

/** Secrets from the API to a file in a container, on a real coordinator, agent and Docker. */

const docker = dockerAt(sharedSocket());
let fleet: Fleet;
let agent: AgentProcess;
let image: string;
let ssm: SsmDouble;
const before = { ...process.env };

const params = { tenant: 'acme' };
const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');
const value = (text: string) => ({ kind: 'value' as const, value: base64(text) });

beforeAll(async () => {
  image = await webImage(docker);
  Object.assign(process.env, AWS_ENV);
  ssm = await startSsm();
  fleet = await startFleet();
  agent = await fleet.addAgent();
  agent.configure({ secrets: { endpoint: ssm.url } });
  await fleet.restart(agent);
  await fleet.apply(
    'vault',
    `
secrets:
  stripe: { name: STRIPE_KEY }
  TOKEN:
services:
  web:
    image: ${image}
    command: ["sh", "-c", "exec serve"]
    environment: { VERSION: "\${VERSION:-1}" }
    secrets:
      - stripe
      - { source: TOKEN, target: deep/token, uid: "1000", gid: "1001", mode: 0400 }
      - { source: TOKEN, target: /etc/token }
    healthcheck: { test: ["CMD-SHELL", "test -s /run/secrets/stripe && wget -q -O /dev/null http://127.0.0.1:8080/"], interval: 1s, start_interval: 100ms }
    tmpfs: [/tmp]
    stop_grace_period: 2s
    x-berth: { route: { port: 8080 }, drain: 1s, secrets: { env: { API_TOKEN: TOKEN } } }
x-berth:
  bake: 500ms
  release: { service: web, command: ["sh", "-c", "test -s /run/secrets/stripe"] }
`,
  );
});
afterAll(async () => {
  for (const name of Object.keys(AWS_ENV)) delete process.env[name];
  Object.assign(process.env, before);
  await ssm?.close();
  await fleet?.close();
});

async function inside(...command: string[]): Promise<string> {
  const web = (await fleet.containers('acme')).find(
    (each) => each.state === 'running' && each.service === 'web',
  );
  if (web === undefined) throw new Error('no web runs');
  const exec = await docker.getContainer(web.name).exec({ Cmd: command, AttachStdout: true, Tty: true });
  const stream = await exec.start({ Tty: true });
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  await new Promise((resolve) => stream.on('end', resolve));
  return text.trim();
}

describe('the secrets of a tenant', () => {
  test('are asked for before anything is created', async () => {
    const body = { tenant: 'acme', app: 'vault', domains: ['acme.test'], host: agent.host() };
    await expect(fleet.api().createTenant({ body })).rejects.toThrow(/secret `STRIPE_KEY` has no value/);
    expect(await fleet.containers('acme')).toEqual([]);
  });

  test('are files in memory with the owner and mode that the template says, and a variable where it asks for one', async () => {
    const body = {
      tenant: 'acme',
      app: 'vault',
      domains: ['acme.test'],
      host: agent.host(),
      secrets: { STRIPE_KEY: value('sk_live_first\xff'), TOKEN: value('token-one') },
    };
    const created = await fleet.api().createTenant({ body });
    await fleet.untilLive(created);
    expect(await inside('cat', '/run/secrets/stripe')).toBe('sk_live_first\xff');
    expect(await inside('cat', '/etc/token')).toBe('token-one');
    expect(await inside('sh', '-c', 'echo $API_TOKEN')).toBe('token-one');
    const listed = await inside('ls', '-ln', '/run/secrets/stripe', '/run/secrets/deep/token');
    expect(listed).toMatch(/^-r--------\s+1 1000\s+1001 .*deep\/token/m);
    expect(listed).toMatch(/^-r--r--r--\s+1 0\s+0 .*stripe/m);
    expect(await inside('sh', '-c', 'grep " /run/secrets " /proc/mounts')).toMatch(/tmpfs.* ro,/);
    const { items } = await fleet.api().listSecrets({ params });
    expect(items.map(({ name, version, state }) => [name, version, state])).toEqual([
      ['STRIPE_KEY', 1, 'live'],
      ['TOKEN', 1, 'live'],
    ]);
  });

  test('are pending when they have changed, until the next change has brought them', async () => {
    await fleet.api().setSecrets({ params, body: { secrets: { STRIPE_KEY: value('sk_live_second') } } });
    const stripe = async () =>
      (await fleet.api().listSecrets({ params })).items.find((each) => each.name === 'STRIPE_KEY');
    expect(await stripe()).toMatchObject({ version: 2, state: 'pending', services: ['web'] });
    expect(await inside('cat', '/run/secrets/stripe')).toBe('sk_live_first\xff');
    const changed = await fleet.api().changeTenant({ params, body: {} });
    expect(changed.result).toBe('changed');
    await fleet.untilSettled('acme', changed.generation);
    expect(await inside('cat', '/run/secrets/stripe')).toBe('sk_live_second');
    expect(await stripe()).toMatchObject({ version: 2, state: 'live' });
  });

  test('cannot be removed while they are in use', async () => {
    const asked = { params: { ...params, secret: 'STRIPE_KEY' } };
    await expect(fleet.api().removeSecret(asked)).rejects.toThrow(/in use by web/);
  });

  test('that are kept elsewhere are asked for by the host at each move; when that fails the old colour serves on', async () => {
    const body = { secrets: { STRIPE_KEY: { kind: 'reference' as const, from: 'aws-ssm:/prod/stripe' } } };
    await fleet.api().setSecrets({ params, body });
    ssm.state = 'denied';
    const blocked = await fleet.api().changeTenant({ params, body: {} });
    const problem = await fleet.untilTrouble('tenant.blocked', blocked);
    expect(problem).toMatchObject({ code: 'secret_unavailable' });
    expect(problem.message).toMatch(
      /STRIPE_KEY of tenant acme .*aws-ssm:\/prod\/stripe: AccessDeniedException/,
    );
    expect(problem.step).toMatch(/open the secrets of web/);
    await fleet.untilAnswers('acme', '1');
    expect(await inside('cat', '/run/secrets/stripe')).toBe('sk_live_second');

    ssm.parameters.set('/prod/stripe', 'sk_from_aws');
    ssm.state = 'up';
    await fleet.untilSettled('acme', blocked.generation, { timeoutMs: 60_000 });
    expect(await inside('cat', '/run/secrets/stripe')).toBe('sk_from_aws');

    ssm.parameters.set('/prod/stripe', 'sk_from_aws_later');
    const again = await fleet.api().restartTenant({ params });
    await fleet.untilSettled('acme', again.generation);
    expect(await inside('cat', '/run/secrets/stripe')).toBe('sk_from_aws_later');
  });

  test('wait for the coordinator, by name, where the host has never had them, and come with it', async () => {
    await fleet.api().setSecrets({ params, body: { secrets: { STRIPE_KEY: value('sk_live_third') } } });
    await agent.kill();
    const { generation } = await fleet.api().changeTenant({ params, body: {} });
    await fleet.coordinator.kill();
    await agent.start();
    await fleet.coordinator.start();
    await fleet.untilSettled('acme', generation, { timeoutMs: 60_000 });
    expect(await inside('cat', '/run/secrets/stripe')).toBe('sk_live_third');
  });
});
