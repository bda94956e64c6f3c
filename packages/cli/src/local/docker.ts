import { request } from 'node:http';
import { z } from 'zod';
import type { Environment } from '../config.ts';
import { UsageError } from '../exit-codes.ts';

export interface DockerAnswer {
  status: number;
  body: unknown;
}

/** The few calls `up`, `down` and `doctor` need, over the daemon's own socket. */
export interface Docker {
  readonly socket: string;
  call(method: 'GET' | 'DELETE' | 'POST', path: string): Promise<DockerAnswer>;
}

/** The local Docker socket: DOCKER_HOST when it is a unix socket, else the usual one. */
export function dockerSocketOf(env: Environment): string {
  const host = env['DOCKER_HOST'];
  if (!host) return '/var/run/docker.sock';
  if (!host.startsWith('unix://')) {
    throw new UsageError(
      `DOCKER_HOST is ${host}, but the agent must be on the Docker daemon's own host.`,
      'Use a unix socket: DOCKER_HOST=unix:///var/run/docker.sock',
    );
  }
  return host.slice('unix://'.length);
}

/** Rejects when the daemon does not answer within the time-out; HTTP errors are answers. */
export function connectDocker(socket: string, timeoutMs = 60_000): Docker {
  return {
    socket,
    call: (method, path) =>
      new Promise((resolve, reject) => {
        const req = request({ socketPath: socket, method, path, timeout: timeoutMs }, (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => (text += chunk));
          response.on('error', reject);
          response.on('end', () => {
            resolve({ status: response.statusCode ?? 0, body: parse(text) });
          });
        });
        req.on('timeout', () => req.destroy(new Error(`Docker did not answer within ${timeoutMs / 1000} s`)));
        req.on('error', reject);
        req.end();
      }),
  };
}

function parse(text: string): unknown {
  try {
    const body: unknown = JSON.parse(text);
    return body;
  } catch {
    return text;
  }
}

/** `?filters=` for one label, as Docker wants it. */
export function labelFilter(label: string, value: string): string {
  return `filters=${encodeURIComponent(JSON.stringify({ label: [`${label}=${value}`] }))}`;
}

const Version = z.object({ Version: z.string(), ApiVersion: z.string() });

/** Docker's version; undefined when nothing answers at the socket. */
export async function dockerVersion(docker: Docker): Promise<string | undefined> {
  try {
    const answer = await docker.call('GET', '/version');
    const version = Version.safeParse(answer.body);
    return version.success ? version.data.Version : undefined;
  } catch {
    return undefined;
  }
}

const Containers = z.array(
  z.object({
    Id: z.string(),
    Names: z.array(z.string()),
    State: z.string(),
    Labels: z.record(z.string(), z.string()),
  }),
);
export type DockerContainer = z.infer<typeof Containers>[number];

export async function listContainers(docker: Docker, agent: string): Promise<DockerContainer[]> {
  const answer = await docker.call('GET', `/containers/json?all=1&${labelFilter('berth.agent', agent)}`);
  return Containers.parse(answer.body);
}

const Networks = z.array(
  z.object({
    Id: z.string(),
    Name: z.string(),
    Labels: z.record(z.string(), z.string()).nullish(),
    IPAM: z.object({ Config: z.array(z.object({ Subnet: z.string().optional() })).nullish() }).nullish(),
  }),
);
export type DockerNetwork = z.infer<typeof Networks>[number];

/** All of the daemon's networks; with `agent`, only those it made. */
export async function listNetworks(docker: Docker, agent?: string): Promise<DockerNetwork[]> {
  const filter = agent === undefined ? '' : `?${labelFilter('berth.agent', agent)}`;
  const answer = await docker.call('GET', `/networks${filter}`);
  return Networks.parse(answer.body);
}

const Volumes = z.object({ Volumes: z.array(z.object({ Name: z.string() })).nullable() });

export async function listVolumes(docker: Docker, agent: string): Promise<string[]> {
  const answer = await docker.call('GET', `/volumes?${labelFilter('berth.agent', agent)}`);
  return (Volumes.parse(answer.body).Volumes ?? []).map((volume) => volume.Name);
}

const Images = z.array(z.object({ Id: z.string(), RepoTags: z.array(z.string()).nullable() }));

/** Tags (or ids, where there is no tag) of the images that this instance's example build made. */
export async function listBuiltImages(docker: Docker, instance: string): Promise<string[]> {
  const answer = await docker.call('GET', `/images/json?all=0&${labelFilter('berth.built', instance)}`);
  return Images.parse(answer.body).flatMap((image) => {
    const tags = (image.RepoTags ?? []).filter((tag) => tag !== '<none>:<none>');
    return tags.length > 0 ? tags : [image.Id];
  });
}

const Image = z.object({
  Config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }).nullish(),
});

/** The instance whose example build made the image of this name; undefined when there is none, or nobody's. */
export async function builderOf(docker: Docker, image: string): Promise<string | undefined> {
  const found = Image.safeParse((await docker.call('GET', `/images/${image}/json`)).body);
  return found.success ? found.data.Config?.Labels?.['berth.built'] : undefined;
}
