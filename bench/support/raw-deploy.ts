import { connect } from 'node:net';
import { get } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { now } from './bench.ts';
import type { DockerApi } from './docker-api.ts';

const Listed = z.array(z.object({ Id: z.string(), State: z.string() }));
const Details = z.object({
  Config: z.record(z.string(), z.unknown()),
  HostConfig: z.record(z.string(), z.unknown()),
  NetworkSettings: z.object({
    Networks: z.record(z.string(), z.object({ Gateway: z.string(), IPAddress: z.string() })),
  }),
});

/** A tenant's running container as a body for `POST /containers/create`, without Berth's labels. */
export interface Twin {
  body: Record<string, unknown>;
  network: string;
  gateway: string;
  /** The container's own address. */
  address: string;
}

export async function twinOf(docker: DockerApi, agent: string, tenant: string): Promise<Twin> {
  const filters = encodeURIComponent(
    JSON.stringify({ label: [`berth.agent=${agent}`, `berth.tenant=${tenant}`], status: ['running'] }),
  );
  const [first] = Listed.parse(await docker.call('GET', `/containers/json?filters=${filters}`));
  if (first === undefined) throw new Error(`${tenant} has no running container`);
  const found = Details.parse(await docker.call('GET', `/containers/${first.Id}/json`));
  const [entry] = Object.entries(found.NetworkSettings.Networks);
  if (entry === undefined) throw new Error(`${tenant}'s container has no network`);
  const { Hostname: _own, ...config } = found.Config;
  return {
    network: entry[0],
    gateway: entry[1].Gateway,
    address: entry[1].IPAddress,
    body: { ...config, Labels: {}, HostConfig: found.HostConfig },
  };
}

/**
 * The floor of a deploy: create, start, and ask the container itself until it answers. Milliseconds. The address is the
 * last one of the tenant's network, which the agent, taking the lowest, does not reach.
 */
export async function deployRaw(
  docker: DockerApi,
  twin: Twin,
  port: number,
): Promise<{ id: string; ms: number }> {
  const parts = twin.gateway.split('.').map(Number);
  const address = [...parts.slice(0, 3), (parts[3] ?? 0) + 61].join('.');
  const began = now();
  const created = await docker.call('POST', '/containers/create', {
    ...twin.body,
    NetworkingConfig: { EndpointsConfig: { [twin.network]: { IPAMConfig: { IPv4Address: address } } } },
  });
  const { Id: id } = z.object({ Id: z.string() }).parse(created);
  await docker.call('POST', `/containers/${id}/start`);
  while (!(await answers(address, port))) await wait(2);
  return { id, ms: now() - began };
}

export async function removeRaw(docker: DockerApi, id: string): Promise<void> {
  await docker.call('DELETE', `/containers/${id}?force=1&v=1`, undefined, [404]);
}

async function answers(address: string, port: number): Promise<boolean> {
  const open = await new Promise<boolean>((resolve) => {
    const socket = connect({ host: address, port, timeout: 1000 });
    const end = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.on('connect', () => end(true));
    socket.on('timeout', () => end(false));
    socket.on('error', () => end(false));
  });
  if (!open) return false;
  return await new Promise<boolean>((resolve) => {
    const req = get({ host: address, port, path: '/', agent: false, timeout: 1000 }, (response) => {
      response.resume();
      response.on('end', () => resolve((response.statusCode ?? 500) < 500));
    });
    req.on('error', () => resolve(false));
  });
}
