import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openRegistry } from '@berth/coordinator/registry/open';
import type { RegistryConfig } from '@berth/shared/registry/config';
import { startEcr } from '../fakes/ecr.ts';
import { testDocker } from './support/docker.ts';
import { busyboxImage } from './support/images.ts';
import { push, putIndex, startRegistry, type RealRegistry } from './support/registry.ts';
import { makeCertificate, startTokenServer, type Certificate } from './support/token-server.ts';

const docker = testDocker();
const closing: (() => Promise<void>)[] = [];
let image: string;
let certificate: Certificate;
let plain: RealRegistry;
let digest: string;

const keep = <T extends { close(): Promise<void> }>(part: T): T => {
  closing.push(() => part.close());
  return part;
};
const signal = (): AbortSignal => AbortSignal.timeout(60_000);

function client(registries: RegistryConfig[] = []) {
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead };
  const registry = openRegistry({ registries, clock, random: Math.random });
  return { clock, resolve: (name: string) => registry.resolve(name, signal()) };
}

beforeAll(async () => {
  image = await busyboxImage(docker);
  certificate = await makeCertificate();
  plain = keep(await startRegistry());
  digest = await push(docker, image, { host: plain.host, name: 'team/shop', tag: '1' });
});
afterAll(async () => {
  for (const close of closing.reverse()) await close();
  certificate?.remove();
});

describe('a real registry', () => {
  test('tells the digest of a tag, of a digest, and of nothing else', async () => {
    const { resolve } = client();
    expect(await resolve(`${plain.host}/team/shop:1`)).toEqual({
      digest,
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    });
    expect((await resolve(`${plain.host}/team/shop@${digest}`)).digest).toBe(digest);
    await expect(resolve(`${plain.host}/team/shop:2`)).rejects.toMatchObject({ code: 'image_not_found' });
    await expect(resolve(`${plain.host}/team/nothing:1`)).rejects.toMatchObject({ code: 'image_not_found' });
  });

  test('tells the index of an image for several platforms', async () => {
    const head = await fetch(`http://${plain.host}/v2/team/shop/manifests/1`, {
      headers: { accept: 'application/vnd.docker.distribution.manifest.v2+json' },
    });
    const size = (await head.arrayBuffer()).byteLength;
    const index = await putIndex(plain.host, 'team/shop', 'multi', { digest, size });
    expect(index).not.toBe(digest);
    expect(await client().resolve(`${plain.host}/team/shop:multi`)).toEqual({
      digest: index,
      mediaType: 'application/vnd.docker.distribution.manifest.list.v2+json',
    });
  });

  test('that is killed is unreachable, and answers again when it is back', async () => {
    const other = keep(await startRegistry());
    const there = await push(docker, image, { host: other.host, name: 'shop', tag: '1' });
    const { resolve } = client();
    await other.kill();
    await expect(resolve(`${other.host}/shop:1`)).rejects.toMatchObject({ code: 'registry_unreachable' });
    const coming = resolve(`${other.host}/shop:1`);
    await other.start();
    expect((await coming).digest).toBe(there);
  });

  test('with passwords lets in who has the right one, also after it was changed', async () => {
    const other = keep(await startRegistry({ kind: 'htpasswd', username: 'ci', password: 'open-sesame' }));
    const auth = { username: 'ci', password: 'open-sesame' };
    const there = await push(docker, image, { host: other.host, name: 'shop', tag: '1' }, auth);
    const passwordFile = join(other.dir, 'password');
    writeFileSync(passwordFile, 'wrong\n');
    const { resolve } = client([{ kind: 'password', host: other.host, username: 'ci', passwordFile }]);
    await expect(resolve(`${other.host}/shop:1`)).rejects.toMatchObject({
      code: 'image_pull_failed',
      message: expect.stringContaining('did not accept the configured credentials'),
    });
    writeFileSync(passwordFile, 'open-sesame\n');
    expect((await resolve(`${other.host}/shop:1`)).digest).toBe(there);
    await expect(client().resolve(`${other.host}/shop:1`)).rejects.toThrow(/without credentials/);
  });

  test('with a token server gets tokens that are renewed before they end, and when they ended early', async () => {
    const allowed = { username: 'ci', password: 'open-sesame' };
    const tokens = keep(await startTokenServer(certificate, allowed));
    const other = keep(
      await startRegistry({
        kind: 'token',
        realm: tokens.url,
        service: 'test',
        issuer: 'test',
        certificate: certificate.certificate,
      }),
    );
    const there = await push(docker, image, { host: other.host, name: 'shop', tag: '1' }, allowed);
    const passwordFile = join(other.dir, 'password');
    writeFileSync(passwordFile, 'open-sesame');
    const { resolve, clock } = client([{ kind: 'password', host: other.host, username: 'ci', passwordFile }]);
    tokens.issued.length = 0;
    expect((await resolve(`${other.host}/shop:1`)).digest).toBe(there);
    await resolve(`${other.host}/shop@${there}`);
    expect(tokens.issued).toEqual([{ account: 'ci', scope: 'repository:shop:pull' }]);
    // 300 seconds, less half a minute.
    clock.ahead = 271_000;
    await resolve(`${other.host}/shop:1`);
    expect(tokens.issued).toHaveLength(2);
    // This one says that it lives for five minutes, and the registry sees it end within two seconds.
    clock.ahead = 600_000;
    tokens.life.real = 1_000;
    await resolve(`${other.host}/shop:1`);
    expect(tokens.issued).toHaveLength(3);
    await wait(2_100);
    tokens.life.real = 300_000;
    expect((await resolve(`${other.host}/shop:1`)).digest).toBe(there);
    expect(tokens.issued).toHaveLength(4);
    await expect(client().resolve(`${other.host}/shop:1`)).rejects.toMatchObject({
      code: 'image_pull_failed',
      message: expect.stringContaining('to somebody without credentials'),
    });
  });

  test('behind ECR gets a token from the SDK, and a fresh one when it was withdrawn', async () => {
    const other = keep(await startRegistry({ kind: 'htpasswd', username: 'AWS', password: 'token-one' }));
    const there = await push(
      docker,
      image,
      { host: other.host, name: 'shop', tag: '1' },
      { username: 'AWS', password: 'token-one' },
    );
    let password: 'token-one' | 'token-two' | 'denied' = 'token-one';
    const ecr = keep(
      await startEcr({ id: 'AKIDTEST', region: 'eu-test-1' }, () =>
        password === 'denied'
          ? 'denied'
          : { username: 'AWS', password, expiresAt: Date.now() + 12 * 3_600_000 },
      ),
    );
    const before = { ...process.env };
    process.env['AWS_ACCESS_KEY_ID'] = 'AKIDTEST';
    process.env['AWS_SECRET_ACCESS_KEY'] = 'very-secret';
    try {
      const { resolve, clock } = client([
        { kind: 'ecr', host: other.host, region: 'eu-test-1', endpoint: ecr.url },
      ]);
      expect((await resolve(`${other.host}/shop:1`)).digest).toBe(there);
      await resolve(`${other.host}/shop:1`);
      expect(ecr).toMatchObject({ asked: 1, refused: [] });
      password = 'token-two';
      other.setPassword('AWS', 'token-two');
      expect((await resolve(`${other.host}/shop:1`)).digest).toBe(there);
      expect(ecr).toMatchObject({ asked: 2, refused: [] });
      password = 'denied';
      clock.ahead = 12 * 3_600_000;
      const refused = await resolve(`${other.host}/shop:1`).catch((thrown: unknown) => thrown);
      expect(refused).toMatchObject({
        code: 'image_pull_failed',
        message: expect.stringContaining('ecr:GetAuthorizationToken'),
      });
      expect(String(refused)).not.toMatch(/very-secret|token-two/);
    } finally {
      for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    }
  });
});
