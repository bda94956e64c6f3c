import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import type { Bench } from './bench.ts';
import type { DockerApi } from './docker-api.ts';
import { endChild } from './instance.ts';
import { freePort } from './places.ts';
import type { WebImage } from './web-image.ts';

/**
 * Pushes the image to a real registry on loopback, in which releases find its digest. The host has it already, under
 * that digest too, so no deploy pulls. To be called before the instance starts: images go after their containers.
 */
export async function published(bench: Bench, docker: DockerApi, image: WebImage): Promise<WebImage> {
  const address = await startRegistry(bench);
  const repo = `${address}/bench-web`;
  const name = `${repo}:1`;
  bench.defer('published image', () => removePublished(docker, address));
  const query = new URLSearchParams({ repo, tag: '1' });
  await docker.call('POST', `/images/${encodeURIComponent(image.name)}/tag?${query.toString()}`);
  await docker.push(name);
  return { ...image, name };
}

async function startRegistry(bench: Bench): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'berth-bench-registry-'));
  bench.defer('registry files', () => rm(dir, { recursive: true, force: true }));
  const address = `127.0.0.1:${await freePort(5_600, new Set())}`;
  await mkdir(join(dir, 'data'));
  // JSON is YAML.
  await writeFile(
    join(dir, 'config.yml'),
    JSON.stringify({
      version: 0.1,
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(dir, 'data') } },
      http: { addr: address, secret: 'bench' },
    }),
  );
  const child = spawn('docker-registry', ['serve', join(dir, 'config.yml')], { stdio: 'ignore' });
  const started = once(child, 'spawn');
  bench.defer('registry', () => endChild(child));
  await started;
  for (let tries = 0; tries < 200; tries += 1) {
    bench.signal.throwIfAborted();
    if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
    if (await answers(`http://${address}/v2/`)) return address;
    await wait(25);
  }
  throw new Error('docker-registry did not answer');
}

function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const req = get(url, { agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === 200));
    });
    req.on('error', () => resolve(false));
  });
}

const Listed = z.array(
  z.object({ RepoTags: z.array(z.string()).nullable(), RepoDigests: z.array(z.string()).nullable() }),
);

/** What Docker knows of this registry: a tag, and the digest it was pushed under. */
async function removePublished(docker: DockerApi, address: string): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ reference: [`${address}/*`] }));
  for (const image of Listed.parse(await docker.call('GET', `/images/json?filters=${filters}`)))
    for (const name of [...(image.RepoTags ?? []), ...(image.RepoDigests ?? [])])
      if (name.startsWith(`${address}/`))
        await docker.call('DELETE', `/images/${encodeURIComponent(name)}`, undefined, [404]);
}
