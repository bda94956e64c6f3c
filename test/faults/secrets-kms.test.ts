import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AWS_ENV } from '../fakes/aws-json.ts';
import { startKms, type KmsDouble } from '../fakes/kms.ts';
import { webImage } from '../integration/support/images.ts';
import { logOf, type AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';

/** Coordinator and host with their keys under KMS, and KMS on bad days. */

const before = { ...process.env };
const params = { tenant: 'acme' };
const value = (text: string) => ({ kind: 'value' as const, value: Buffer.from(text).toString('base64') });
let kms: KmsDouble;
let fleet: Fleet;
let agent: AgentProcess;

beforeAll(async () => {
  Object.assign(process.env, AWS_ENV);
  kms = await startKms('coordinators', 'hosts');
  const image = await webImage(dockerAt(sharedSocket()));
  fleet = await startFleet({
    config: { secrets: { kms: { key: 'coordinators', endpoint: kms.url } } },
  });
  agent = await fleet.addAgent();
  agent.configure({ secrets: { kms: { key: 'hosts' }, endpoint: kms.url } });
  await fleet.restart(agent);
  await fleet.apply(
    'vault',
    `
secrets: { GREETING: }
services:
  web:
    image: ${image}
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
});
afterAll(async () => {
  for (const name of Object.keys(AWS_ENV)) delete process.env[name];
  Object.assign(process.env, before);
  await fleet?.close();
  await kms?.close();
});

describe('a tenant whose secrets are under KMS', () => {
  test('is made, with every data key bound to what it is for, and the host’s key wrapped on its disk', async () => {
    const body = {
      ...params,
      app: 'vault',
      domains: ['acme.test'],
      host: agent.host(),
      secrets: { GREETING: value('first') },
    };
    await fleet.untilLive(await fleet.api().createTenant({ body }));
    await fleet.untilAnswers('acme', 'first');
    expect(kms.contexts).toContainEqual(
      expect.objectContaining({ tenant: 'acme', name: 'GREETING', version: '1' }),
    );
    expect(await fleet.api().secretKeys({ query: {} })).toMatchObject({
      current: 'kms:coordinators',
      keys: [{ versions: 1 }],
    });
    // It was made before the configuration asked for KMS, and was wrapped since.
    const file = readFileSync(join(agent.stateDir, 'secrets', 'sealing-key.json'), 'utf8');
    expect(JSON.parse(file)).toMatchObject({ kind: 'kms' });
    expect(file).not.toContain('privateKey');
    expect(kms.refused).toEqual([]);
  });

  test('cannot be given a new value while KMS refuses, which is said in words, and keeps the old one', async () => {
    kms.state = 'denied';
    await expect(
      fleet.api().setSecrets({ params, body: { secrets: { GREETING: value('second') } } }),
    ).rejects.toThrow(/GREETING of tenant acme cannot be kept: KMS refused.*AccessDeniedException/);
    kms.state = 'up';
    const [shown] = (await fleet.api().listSecrets({ params })).items;
    expect(shown).toMatchObject({ version: 1, state: 'live' });
  });

  test('is blocked by its name when KMS does not open a value, while the old colour serves, and goes on when it does', async () => {
    await fleet.api().setSecrets({ params, body: { secrets: { GREETING: value('second') } } });
    kms.state = 'denied';
    const changed = await fleet.api().changeTenant({ params, body: {} });
    const problem = await fleet.untilTrouble('tenant.blocked', changed);
    expect(problem).toMatchObject({ code: 'secret_unavailable' });
    expect(problem.message).toMatch(/GREETING \(version 2\) of tenant acme.*AccessDeniedException/);
    await fleet.untilAnswers('acme', 'first');
    kms.state = 'up';
    await fleet.untilSettled('acme', changed.generation, { timeoutMs: 60_000 });
    await fleet.untilAnswers('acme', 'second');
  });

  test('serves on when the agent starts and KMS does not open the host’s key; that is said, and comes right by itself', async () => {
    kms.state = 'denied';
    const from = readFileSync(agent.logFile, 'utf8').length;
    await fleet.restart(agent);
    await fleet.untilAnswers('acme', 'second');
    await fleet
      .api()
      .setSecrets({ params, body: { secrets: { GREETING: value('third') } } })
      .catch(() => undefined);
    kms.state = 'up';
    await fleet.api().setSecrets({ params, body: { secrets: { GREETING: value('fourth') } } });
    const changed = await fleet.api().changeTenant({ params, body: {} });
    await fleet.untilSettled('acme', changed.generation, { timeoutMs: 60_000 });
    await fleet.untilAnswers('acme', 'fourth');
    expect(logOf(agent, from)).not.toMatch(/second|fourth/);
  });
});
