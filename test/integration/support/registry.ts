import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { z } from 'zod';

/** Passwords that the real registry can check: it takes bcrypt only, and nothing here can make that. */
export const PASSWORDS = {
  'open-sesame': '$2b$04$gGwSdblQ.ZUBf6HBGBi3kuV8.pPIEVEh2Bcryn6EJMjFcIZXOm6.O',
  'token-one': '$2b$04$NOeYQiirZ1wV7EUTNoIl1.R78bTMCLMZ4GrfyW3m.m00csGwD5TAi',
  'token-two': '$2b$04$ARuAAtbcTiAeNM8lLVDtnuGUCUDd/uIqhsvxVcj0OHK5L.yvsL96i',
} as const;
export type Password = keyof typeof PASSWORDS;

export type RegistryAuth =
  | { kind: 'none' }
  | { kind: 'htpasswd'; username: string; password: Password }
  | { kind: 'token'; realm: string; service: string; issuer: string; certificate: string };

export interface RealRegistry {
  /** `127.0.0.1:PORT`; loopback needs no TLS. */
  host: string;
  dir: string;
  /** On the same port, with the same images. */
  start(): Promise<void>;
  kill(): Promise<void>;
  setPassword(username: string, password: Password): void;
  log(): string;
  close(): Promise<void>;
}

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** Debian's docker-registry on loopback, with a storage of its own in a temporary folder. */
export async function startRegistry(
  auth: RegistryAuth = { kind: 'none' },
  tls?: { certificate: string; key: string },
): Promise<RealRegistry> {
  const dir = mkdtempSync(join(tmpdir(), 'berth-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const passwords = join(dir, 'htpasswd');
  const setPassword = (username: string, password: Password): void =>
    writeFileSync(passwords, `${username}:${PASSWORDS[password]}\n`);
  if (auth.kind === 'htpasswd') setPassword(auth.username, auth.password);
  mkdirSync(join(dir, 'data'));
  // JSON is YAML.
  writeFileSync(
    join(dir, 'config.yml'),
    JSON.stringify({
      version: 0.1,
      log: { level: 'warn', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(dir, 'data') }, delete: { enabled: true } },
      http: { addr: host, secret: 'test', ...(tls === undefined ? {} : { tls: tlsOf(tls) }) },
      ...authOf(auth, passwords),
    }),
  );
  let child: ChildProcess | null = null;
  let log = '';
  const kill = async (): Promise<void> => {
    const running = child;
    child = null;
    if (running === null || running.exitCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await ended;
    children.delete(running);
  };
  const start = async (): Promise<void> => {
    const started = spawn('docker-registry', ['serve', join(dir, 'config.yml')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.add(started);
    child = started;
    for (const stream of [started.stdout, started.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => (log += chunk));
    const url = `http://${host}/v2/`;
    for (let round = 0; round < 200; round += 1) {
      if (started.exitCode !== null) throw new Error(`docker-registry ended: ${log}`);
      // Whatever it says, it is there; TLS answers plain HTTP with 400.
      if (await fetch(url).then(Boolean, () => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(`docker-registry did not answer: ${log}`);
  };
  const close = async (): Promise<void> => {
    await kill();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return { host, dir, start, kill, setPassword, log: () => log, close };
}

const tlsOf = (tls: { certificate: string; key: string }): object => ({
  certificate: tls.certificate,
  key: tls.key,
});

function authOf(auth: RegistryAuth, passwords: string): object {
  switch (auth.kind) {
    case 'none':
      return {};
    case 'htpasswd':
      return { auth: { htpasswd: { realm: 'test', path: passwords } } };
    case 'token': {
      const { realm, service, issuer, certificate } = auth;
      return { auth: { token: { realm, service, issuer, rootcertbundle: certificate } } };
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Pushes what the local image `source` is as `host/name:tag`. Resolves to its digest there. */
export async function push(
  docker: Docker,
  source: string,
  target: { host: string; name: string; tag: string },
  auth?: { username: string; password: string },
): Promise<string> {
  const repo = `${target.host}/${target.name}`;
  await docker.getImage(source).tag({ repo, tag: target.tag });
  const image = docker.getImage(`${repo}:${target.tag}`);
  try {
    const stream = await image.push({
      tag: target.tag,
      authconfig: { username: '', password: '', ...auth, serveraddress: target.host },
    });
    let digest = '';
    await new Promise<void>((resolve, reject) => {
      docker.modem.followProgress(
        stream,
        (error) => (error === null ? resolve() : reject(error)),
        (line: unknown) => {
          const told = z.object({ aux: z.object({ Digest: z.string() }) }).safeParse(line);
          if (told.success) digest = told.data.aux.Digest;
        },
      );
    });
    if (digest === '') throw new Error(`the push of ${repo} told no digest`);
    return digest;
  } finally {
    // Only the registry has it now, so that a pull is a pull.
    await image.remove();
  }
}

/** Puts an index in front of a manifest that is there, as a build for two platforms does. Resolves to its digest. */
export async function putIndex(
  host: string,
  name: string,
  tag: string,
  manifest: { digest: string; size: number },
): Promise<string> {
  const of = (architecture: string): object => ({
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    ...manifest,
    platform: { os: 'linux', architecture },
  });
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.docker.distribution.manifest.list.v2+json',
    manifests: [of('amd64'), of('arm64')],
  });
  const response = await fetch(`http://${host}/v2/${name}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/vnd.docker.distribution.manifest.list.v2+json' },
    body,
  });
  if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
  return response.headers.get('docker-content-digest') ?? '';
}
