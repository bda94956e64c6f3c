import Docker from 'dockerode';
import { z } from 'zod';

/** Path of the socket of the daemon that the tests share. */
export function sharedSocket(): string {
  const host = process.env['DOCKER_HOST'] ?? '';
  return host.startsWith('unix://') ? host.slice('unix://'.length) : '/var/run/docker.sock';
}

export function dockerAt(socketPath: string): Docker {
  return new Docker({ socketPath });
}

export interface Seen {
  id: string;
  name: string;
  tenant: string;
  service: string;
  generation: number;
  replica: number;
  role: string;
  state: string;
}

/** Containers of one agent, read by another client than the agent's own. */
export async function containersOf(docker: Docker, agent: string, tenant?: string): Promise<Seen[]> {
  const label = [`berth.agent=${agent}`, ...(tenant === undefined ? [] : [`berth.tenant=${tenant}`])];
  const found = await docker.listContainers({ all: true, filters: { label } });
  return found
    .map((each) => ({
      id: each.Id,
      name: each.Names[0]?.slice(1) ?? '',
      tenant: each.Labels['berth.tenant'] ?? '',
      service: each.Labels['berth.service'] ?? '',
      generation: Number(each.Labels['berth.generation']),
      replica: Number(each.Labels['berth.replica']),
      role: each.Labels['berth.role'] ?? '',
      state: each.State,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export interface ContainerEvent {
  action: string;
  name: string;
  service: string;
  generation: number;
  role: string;
  tenant: string;
  at: number;
}

const RawEvent = z.object({
  Action: z.string(),
  timeNano: z.number(),
  Actor: z.object({ Attributes: z.record(z.string(), z.string()) }),
});

/** Everything that happens to one agent's containers from now on, as Docker tells it. */
export async function recordContainers(
  docker: Docker,
  agent: string,
): Promise<{ events: ContainerEvent[]; close(): void }> {
  const events: ContainerEvent[] = [];
  const stopping = new AbortController();
  const stream = await docker.getEvents({
    abortSignal: stopping.signal,
    filters: { type: ['container'], label: [`berth.agent=${agent}`], event: ['start', 'die', 'destroy'] },
  });
  let pending = '';
  stream.on('error', () => undefined);
  stream.on('data', (chunk: Buffer) => {
    const lines = (pending + chunk.toString('utf8')).split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) {
      if (line.trim() === '') continue;
      const { Action, timeNano, Actor } = RawEvent.parse(JSON.parse(line));
      const about = Actor.Attributes;
      events.push({
        action: Action,
        name: about['name'] ?? '',
        service: about['berth.service'] ?? '',
        generation: Number(about['berth.generation']),
        role: about['berth.role'] ?? '',
        tenant: about['berth.tenant'] ?? '',
        at: timeNano / 1e6,
      });
    }
  });
  return { events, close: () => stopping.abort() };
}

/** Removes every container, network and volume of one agent. */
export async function removeAllOf(docker: Docker, agent: string): Promise<void> {
  const filters = { label: [`berth.agent=${agent}`] };
  const containers = await docker.listContainers({ all: true, filters });
  await Promise.allSettled(
    containers.map((each) => docker.getContainer(each.Id).remove({ force: true, v: true })),
  );
  for (const each of await docker.listNetworks({ filters }))
    await docker
      .getNetwork(each.Id)
      .remove()
      .catch(() => undefined);
  const { Volumes } = await docker.listVolumes({ filters: JSON.stringify(filters) });
  for (const each of Volumes)
    await docker
      .getVolume(each.Name)
      .remove({ force: true })
      .catch(() => undefined);
}
