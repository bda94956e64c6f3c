import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Bench } from './bench.ts';
import { run } from './commands.ts';
import type { DockerApi } from './docker-api.ts';

/** Answers its own host name, which is its container's id: so each answer tells which generation gave it. */
const CONF = `user root root; daemon off; master_process off; pid /tmp/nginx.pid; error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000; default_type text/plain;
  client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d;
  scgi_temp_path /tmp/e;
  server { listen 8080 backlog=4096; location / { return 200 $hostname; } }
}
`;
const PORT = 8080;

export interface WebImage {
  name: string;
  port: number;
}

/**
 * A container that is as fast as can be, so that what is in front of it is what is measured: this machine's Nginx with
 * its libraries and nothing else. Made once per content and kept for the next run.
 */
export async function webImage(bench: Bench, docker: DockerApi): Promise<WebImage> {
  const nginx = (await run('which', ['nginx'])).trim();
  const key = createHash('sha256')
    .update(await readFile(nginx))
    .update(CONF)
    .digest('hex')
    .slice(0, 16);
  const name = `berth-bench/web:${key}`;
  const image = { name, port: PORT };
  const there = await docker.call('GET', `/images/${encodeURIComponent(name)}/json`, undefined, [404]);
  if (there !== null && typeof there === 'object' && 'Id' in there) return image;
  const work = await mkdtemp(join(tmpdir(), 'berth-bench-image-'));
  bench.defer('image files', () => rm(work, { recursive: true, force: true }));
  const root = join(work, 'root');
  for (const folder of ['bin', 'etc', 'tmp', 'dev']) await mkdir(join(root, folder), { recursive: true });
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/false\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\n');
  await writeFile(join(root, 'etc/web.conf'), CONF);
  await copyFile(nginx, join(root, 'bin/nginx'));
  for (const [, library = ''] of (await run('ldd', [nginx])).matchAll(/(\/\S+)\s+\(0x/g)) {
    await mkdir(join(root, dirname(library)), { recursive: true });
    await copyFile(library, join(root, library));
  }
  await run('tar', ['-C', root, '-cf', join(work, 'image.tar'), '.']);
  const query = new URLSearchParams({ fromSrc: '-', repo: 'berth-bench/web', tag: key });
  await docker.send(`/images/create?${query.toString()}`, await readFile(join(work, 'image.tar')));
  return image;
}

/** The app's template: one routed service. */
export function composeOf(app: string, image: WebImage): string {
  return `name: ${app}
services:
  web:
    image: ${image.name}
    command: ['/bin/nginx', '-e', 'stderr', '-p', '/tmp/', '-c', '/etc/web.conf']
    environment: { BUILD: "\${BUILD:-0}", VERSION: "\${VERSION:-0}" }
    tmpfs: [/tmp]
    stop_signal: SIGTERM
    pull_policy: missing
    deploy: { resources: { limits: { memory: 32M, cpus: '2' }, reservations: { memory: 8M, cpus: '0.01' } } }
    x-berth: { route: { port: ${image.port} }, drain: 10s }
x-berth: { bake: 1s }
`;
}
