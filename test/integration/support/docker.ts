import Docker from 'dockerode';

/** The daemon that tests use: another client than the agent's own, so that each can judge the other. */
export function testDocker(): Docker {
  return new Docker({ socketPath: dockerSocket() });
}

/** Path of the daemon's socket. */
export function dockerSocket(): string {
  const host = process.env['DOCKER_HOST'] ?? '';
  return host.startsWith('unix://') ? host.slice('unix://'.length) : '/var/run/docker.sock';
}

/** Removes every container, network and volume that carries this label value. */
export async function removeLabelled(docker: Docker, label: string): Promise<void> {
  const filters = { label: [label] };
  for (const each of await docker.listContainers({ all: true, filters }))
    await docker
      .getContainer(each.Id)
      .remove({ force: true, v: true })
      .catch(() => {});
  for (const each of await docker.listNetworks({ filters }))
    await docker
      .getNetwork(each.Id)
      .remove()
      .catch(() => {});
  const { Volumes } = await docker.listVolumes({ filters: JSON.stringify(filters) });
  for (const each of Volumes)
    await docker
      .getVolume(each.Name)
      .remove({ force: true })
      .catch(() => {});
}
