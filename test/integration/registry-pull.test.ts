import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createExecutor } from '@berth/agent/execute/executor';
import { realSleep } from '@berth/agent/system/clock';
import { openCredentials } from '@berth/agent/system/registries';
import type { RegistryConfig } from '@berth/shared/registry/config';
import type { Problem, StepOutcome } from '@berth/shared/domain/step';
import { startEcr } from '../fakes/ecr.ts';
import { createTestHost, type TestHost } from './support/host.ts';
import { busyboxImage } from './support/images.ts';
import { push, startRegistry, type RealRegistry } from './support/registry.ts';

let host: TestHost;
let image: string;
const closing: (() => Promise<void>)[] = [];
const pulled: string[] = [];

beforeAll(async () => {
  host = await createTestHost();
  image = await busyboxImage(host.docker);
});
afterEach(async () => {
  for (const ref of pulled.splice(0)) await host.docker.getImage(ref).remove({ force: true });
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  await host?.close();
});

const keep = <T extends { close(): Promise<void> }>(part: T): T => {
  closing.push(() => part.close());
  return part;
};

/** Runs image.ensure as an agent with these registries does. */
function agentWith(registries: RegistryConfig[] = []) {
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead };
  const executor = createExecutor({
    system: host.system,
    clock,
    sleep: realSleep,
    credentials: openCredentials(registries, clock),
  });
  const ensure = async (name: string, pullPolicy: 'missing' | 'always' = 'missing'): Promise<StepOutcome> => {
    const step = { kind: 'image.ensure', tenant: 'acme', generation: 1, image: name, pullPolicy } as const;
    const outcome = await executor.execute(step, AbortSignal.timeout(60_000));
    if (outcome.kind === 'ok' && outcome.note === 'pulled') pulled.push(name);
    return outcome;
  };
  return { clock, ensure };
}

function problemOf(outcome: StepOutcome): Problem {
  if (outcome.kind === 'ok') throw new Error('the step succeeded');
  return outcome.problem;
}

/** One more image: what Docker has pulled once by its digest it may take from its own store the next time. */
async function another(registry: RealRegistry, password: 'token-one' | 'token-two'): Promise<string> {
  const repo = `berth-test/pull-${host.config.agent}`;
  const container = await host.docker.createContainer({
    Image: image,
    Cmd: ['true'],
    Labels: { 'berth.agent': host.config.agent },
  });
  try {
    await container.commit({ repo, tag: '1', comment: randomUUID() });
  } finally {
    await container.remove();
  }
  try {
    const auth = { username: 'AWS', password };
    const digest = await push(
      host.docker,
      `${repo}:1`,
      { host: registry.host, name: 'more', tag: '1' },
      auth,
    );
    return `${registry.host}/more@${digest}`;
  } finally {
    await host.docker.getImage(`${repo}:1`).remove();
  }
}

/** A registry with one image in it; `reference` is the image by its digest. */
async function registryWith(password?: 'open-sesame' | 'token-one', username = 'AWS') {
  const auth = password === undefined ? undefined : { username, password };
  const registry = keep(
    await startRegistry(auth === undefined ? { kind: 'none' } : { kind: 'htpasswd', ...auth }),
  );
  const digest = await push(host.docker, image, { host: registry.host, name: 'shop', tag: '1' }, auth);
  return { registry, digest, reference: `${registry.host}/shop@${digest}` };
}

async function deleteManifest(registry: RealRegistry, digest: string): Promise<void> {
  const response = await fetch(`http://${registry.host}/v2/shop/manifests/${digest}`, { method: 'DELETE' });
  expect(response.status).toBe(202);
}

describe('an image by its digest', () => {
  test('is pulled once, and needs its registry no more, also when its policy is to pull always', async () => {
    const { registry, reference } = await registryWith();
    const { ensure } = agentWith();
    expect(await ensure(reference)).toEqual({ kind: 'ok', note: 'pulled' });
    expect(await ensure(reference)).toEqual({ kind: 'ok', note: 'already here' });
    await registry.kill();
    expect(await ensure(reference, 'always')).toEqual({ kind: 'ok', note: 'already here' });
    const { RepoDigests } = await host.docker.getImage(reference).inspect();
    expect(RepoDigests).toContain(reference);
  });

  test('runs as a container under that name', async () => {
    const { reference } = await registryWith();
    expect(await agentWith().ensure(reference)).toEqual({ kind: 'ok', note: 'pulled' });
    const container = await host.docker.createContainer({
      Image: reference,
      Cmd: ['true'],
      Labels: { 'berth.agent': host.config.agent },
    });
    await container.remove();
  });

  test('that the registry no longer has is told from one whose registry is away', async () => {
    const { registry, digest, reference } = await registryWith();
    const { ensure } = agentWith();
    await deleteManifest(registry, digest);
    const gone = problemOf(await ensure(reference));
    expect(gone.code).toBe('image_not_found');
    expect(gone.message).toContain(`no longer has ${reference}`);
    await registry.kill();
    expect(problemOf(await ensure(reference)).code).toBe('registry_unreachable');
  });
});

describe('a registry that wants credentials', () => {
  test('gets the password of the file, and refuses a wrong one in words that do not hold it', async () => {
    const { registry, reference } = await registryWith('open-sesame', 'ci');
    expect(problemOf(await agentWith().ensure(reference)).code).toBe('image_pull_failed');
    const passwordFile = join(registry.dir, 'password');
    writeFileSync(passwordFile, 'not-the-password');
    const { ensure } = agentWith([{ kind: 'password', host: registry.host, username: 'ci', passwordFile }]);
    const refused = problemOf(await ensure(reference));
    expect(refused.code).toBe('image_pull_failed');
    expect(refused.message).not.toContain('not-the-password');
    writeFileSync(passwordFile, 'open-sesame\n');
    expect(await ensure(reference)).toEqual({ kind: 'ok', note: 'pulled' });
  });

  test('behind ECR gets a token, a new one before it ends, and a new one at once when it was refused', async () => {
    const { registry } = await registryWith('token-one');
    let password: 'token-one' | 'token-two' = 'token-one';
    const ecr = keep(
      await startEcr({ id: 'AKIDTEST', region: 'eu-test-1' }, () => ({
        username: 'AWS',
        password,
        expiresAt: Date.now() + 12 * 3_600_000,
      })),
    );
    await withKey(async () => {
      const { ensure, clock } = agentWith([
        { kind: 'ecr', host: registry.host, region: 'eu-test-1', endpoint: ecr.url },
      ]);
      expect(await ensure(await another(registry, password))).toEqual({ kind: 'ok', note: 'pulled' });
      expect(ecr).toMatchObject({ asked: 1, refused: [] });
      clock.ahead = 12 * 3_600_000 - 14 * 60_000;
      expect(await ensure(await another(registry, password))).toEqual({ kind: 'ok', note: 'pulled' });
      expect(ecr.asked).toBe(2);
      clock.ahead = 0;
      password = 'token-two';
      registry.setPassword('AWS', 'token-two');
      expect(await ensure(await another(registry, password))).toEqual({ kind: 'ok', note: 'pulled' });
      expect(ecr.asked).toBe(3);
      await ecr.close();
      clock.ahead = 13 * 3_600_000;
      const away = problemOf(await ensure(`${registry.host}/shop:99`));
      expect(away.code).toBe('registry_unreachable');
      expect(away.message).toContain('ECR in eu-test-1 did not answer');
    });
  });
});

/** The SDK's own way to its credentials. */
async function withKey(work: () => Promise<void>): Promise<void> {
  const names = { AWS_ACCESS_KEY_ID: 'AKIDTEST', AWS_SECRET_ACCESS_KEY: 'very-secret' };
  const before = Object.fromEntries(Object.keys(names).map((name) => [name, process.env[name]]));
  Object.assign(process.env, names);
  try {
    await work();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
