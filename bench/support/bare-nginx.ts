import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { get } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import { run } from './commands.ts';

/** An Nginx with nothing but a pooled upstream: what Berth's own is measured against. */
export async function startBareNginx(
  bench: Bench,
  options: { port: number; address: string; upstreamPort: number },
): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'berth-bench-nginx-'));
  bench.defer('bare Nginx files', () => rm(home, { recursive: true, force: true }));
  await chmod(home, 0o755);
  await mkdir(join(home, 'tmp'));
  const conf = `user www-data;
worker_processes auto;
worker_rlimit_nofile 65536;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 16384; }
http {
  access_log off; server_tokens off; keepalive_timeout 65s; keepalive_requests 100000; tcp_nodelay on;
  client_body_temp_path tmp/a; proxy_temp_path tmp/b; fastcgi_temp_path tmp/c; uwsgi_temp_path tmp/d; scgi_temp_path tmp/e;
  proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection "";
  upstream bare { server ${options.address}:${options.upstreamPort} max_fails=0; keepalive 64; }
  server { listen 127.0.0.1:${options.port} backlog=4096; location / { proxy_pass http://bare; } }
}
`;
  await writeFile(join(home, 'nginx.conf'), conf);
  await run('nginx', ['-p', `${home}/`, '-e', join(home, 'error.log'), '-c', join(home, 'nginx.conf')]);
  bench.defer('bare Nginx', async () => {
    process.kill(Number(readFileSync(join(home, 'nginx.pid'), 'utf8').trim()), 'SIGTERM');
    await wait(200);
  });
  await new Promise<void>((resolve, reject) => {
    get({ host: '127.0.0.1', port: options.port, agent: false }, (response) => {
      response.resume();
      if (response.statusCode === 200) resolve();
      else reject(new Error(`the bare Nginx answers ${response.statusCode}`));
    }).on('error', reject);
  });
}
