import type { TenantNetwork } from '@berth/shared/domain/network';
import type { DockerClient } from './docker.ts';
import { AGENT_LABEL, TENANT_LABEL } from './labels.ts';

/** Our Docker networks: asked for once, then again only after a change. */
export class NetworkCache {
  readonly #docker: DockerClient;
  readonly #agent: string;
  #known: readonly TenantNetwork[] | null = null;
  #version = 0;

  constructor(docker: DockerClient, agent: string) {
    this.#docker = docker;
    this.#agent = agent;
  }

  async list(signal?: AbortSignal): Promise<readonly TenantNetwork[]> {
    if (this.#known !== null) return this.#known;
    const version = this.#version;
    const networks: TenantNetwork[] = [];
    for (const found of await this.#docker.listNetworks(`${AGENT_LABEL}=${this.#agent}`, { signal })) {
      const tenant = found.labels[TENANT_LABEL];
      if (tenant === undefined || found.bridge === '') continue;
      const { name, bridge, subnet, gateway } = found;
      networks.push({ tenant, name, bridge, subnet, gateway });
    }
    if (version === this.#version) this.#known = networks;
    return networks;
  }

  invalidate(): void {
    this.#version += 1;
    this.#known = null;
  }
}
