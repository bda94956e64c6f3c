import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type Docker from 'dockerode';

const run = promisify(execFile);
const APPLETS = [
  'sh',
  'httpd',
  'wget',
  'nc',
  'sleep',
  'echo',
  'cat',
  'test',
  'true',
  'false',
  'kill',
  'mkdir',
  'id',
  'touch',
  'ps',
  'dd',
  'ls',
  'ip',
  'tail',
  'head',
  'env',
  'grep',
];

/** A 2 MB image with busybox and nothing else. The name follows from its content, so that it is made once. */
export async function busyboxImage(docker: Docker): Promise<string> {
  const busybox = process.env['BERTH_BUSYBOX'] || '/usr/bin/busybox';
  const key = createHash('sha256')
    .update(await readFile(busybox))
    .update(APPLETS.join())
    .digest('hex');
  return await imageOf(docker, `berth-test/busybox:${key.slice(0, 16)}`, (root) => putBusybox(root, busybox));
}

/** Busybox and this machine's Nginx: a server that keeps connections open. `VERSION` is what it answers, on 8080. */
export async function webImage(docker: Docker): Promise<string> {
  const busybox = process.env['BERTH_BUSYBOX'] || '/usr/bin/busybox';
  const nginx = '/usr/sbin/nginx';
  const key = createHash('sha256')
    .update(await readFile(busybox))
    .update(await readFile(nginx))
    .update(SERVE)
    .digest('hex');
  return await imageOf(docker, `berth-test/web:${key.slice(0, 16)}`, async (root) => {
    await putBusybox(root, busybox);
    await putWithLibraries(root, nginx);
    await writeFile(join(root, 'bin/serve'), SERVE, { mode: 0o755 });
  });
}

/** The same with PostgreSQL's own client. */
export async function databaseClientImage(docker: Docker): Promise<string> {
  const busybox = process.env['BERTH_BUSYBOX'] || '/usr/bin/busybox';
  const nginx = '/usr/sbin/nginx';
  const psql = await psqlProgram();
  const key = createHash('sha256')
    .update(await readFile(busybox))
    .update(await readFile(nginx))
    .update(await readFile(psql))
    .update(SERVE)
    .digest('hex');
  return await imageOf(docker, `berth-test/psql:${key.slice(0, 16)}`, async (root) => {
    await putBusybox(root, busybox);
    await putWithLibraries(root, nginx);
    await putWithLibraries(root, psql);
    await writeFile(join(root, 'bin/serve'), SERVE, { mode: 0o755 });
  });
}

/** The newest that is installed. */
async function psqlProgram(): Promise<string> {
  const home = '/usr/lib/postgresql';
  const versions = (await readdir(home)).sort((a, b) => Number(b) - Number(a));
  const [newest] = versions;
  if (newest === undefined) throw new Error(`there is no PostgreSQL below ${home}`);
  return join(home, newest, 'bin/psql');
}

const SERVE = `#!/bin/sh
mkdir -p /tmp/n
cat > /tmp/n/nginx.conf <<END
user root root; daemon off; master_process off; pid /tmp/n/pid; error_log stderr warn;
events { worker_connections 4096; }
http { access_log off; client_body_temp_path /tmp/n/b; proxy_temp_path /tmp/n/p; fastcgi_temp_path /tmp/n/f;
uwsgi_temp_path /tmp/n/u; scgi_temp_path /tmp/n/s; keepalive_requests 1000000;
server { listen 8080 backlog=4096; location / { return 200 "$VERSION"; } location /bad { return 500 "bad"; } } }
END
exec nginx -p /tmp/n/ -c /tmp/n/nginx.conf -e stderr
`;

async function imageOf(docker: Docker, name: string, fill: (root: string) => Promise<void>): Promise<string> {
  const there = await docker
    .getImage(name)
    .inspect()
    .then(() => true)
    .catch(() => false);
  if (there) return name;
  const work = await mkdtemp(join(tmpdir(), 'berth-image-'));
  try {
    const root = join(work, 'root');
    for (const folder of ['bin', 'etc', 'tmp', 'run', 'data'])
      await mkdir(join(root, folder), { recursive: true });
    await writeFile(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n');
    await writeFile(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
    await fill(root);
    await run('tar', ['-C', root, '-cf', join(work, 'image.tar'), '.']);
    const [repo = '', tag = ''] = name.split(':');
    const stream = await docker.importImage(join(work, 'image.tar'), { repo, tag });
    await new Promise<void>((resolve, reject) => {
      stream.on('end', resolve);
      stream.on('error', reject);
      stream.resume();
    });
    await docker.getImage(name).inspect();
    return name;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function putBusybox(root: string, busybox: string): Promise<void> {
  await cp(busybox, join(root, 'bin/busybox'));
  for (const applet of APPLETS) await symlink('busybox', join(root, 'bin', applet));
}

async function putWithLibraries(root: string, program: string): Promise<void> {
  await cp(program, join(root, 'bin', program.slice(program.lastIndexOf('/') + 1)));
  const { stdout } = await run('ldd', [program]);
  for (const match of stdout.matchAll(/(\/[^\s]+)\s+\(0x/g)) {
    const library = match[1];
    if (library === undefined) continue;
    await mkdir(join(root, dirname(library)), { recursive: true });
    await cp(library, join(root, library), { dereference: true });
  }
}
