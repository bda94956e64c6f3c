import { BerthError } from '@berth/shared/domain/errors';
import type { TenantNetwork } from '@berth/shared/domain/network';
import type { StepOf } from '@berth/shared/domain/step';
import { contains, parseCidr } from '../../system/cidr.ts';
import type { NetworkDetails } from '../../system/docker-types.ts';
import { AGENT_LABEL, TENANT_LABEL } from '../../system/labels.ts';
import type { ExecuteDeps, Note } from '../context.ts';
import { StepFailure } from '../failure.ts';
import type { NetworkBase } from './base.ts';

/** The tenant's own bridge and subnet, and leave for its containers to talk to each other. */
export async function ensureNetwork(
  deps: ExecuteDeps,
  base: NetworkBase,
  step: StepOf<'network.ensure'>,
  signal: AbortSignal,
): Promise<Note> {
  const { docker, config, networks } = deps.system;
  const { network, tenant } = step;
  assertWithinRange(deps, network);
  const taken = (): StepFailure =>
    new StepFailure(
      'conflict',
      `A Docker network ${network.name} exists that is not tenant ${tenant}'s ${network.subnet} on ${network.bridge}. Remove or rename it.`,
    );
  let found = await docker.inspectNetwork(network.name, { signal });
  if (found !== null && !isSame(config.agent, tenant, network, found)) throw taken();
  // Before there is anything on the bridge that the policy is for.
  await base.allowBridge(network.bridge, step.egress);
  if (found === null) {
    try {
      await docker.createNetwork(bodyOf(config.agent, network), { signal });
    } catch (error) {
      if (!(error instanceof BerthError) || error.code === 'docker_unavailable') throw error;
      // Someone may have made it between the two calls; then it is checked like any other.
      if ((await docker.inspectNetwork(network.name, { signal })) === null)
        throw new StepFailure(
          'conflict',
          `The network ${network.subnet} of ${tenant} could not be made. ${error.message}`,
          { cause: error },
        );
    } finally {
      networks.invalidate();
    }
    found = await docker.inspectNetwork(network.name, { signal });
  }
  if (found === null || !isSame(config.agent, tenant, network, found)) throw taken();
  return undefined;
}

/** Only a network with this agent's and this tenant's labels; no error when it is gone. */
export async function removeNetwork(
  deps: ExecuteDeps,
  base: NetworkBase,
  step: StepOf<'network.remove'>,
  signal: AbortSignal,
): Promise<Note> {
  const { docker, config, networks } = deps.system;
  const { network, tenant } = step;
  const found = await docker.inspectNetwork(network.name, { signal });
  if (found !== null) {
    if (found.labels[AGENT_LABEL] !== config.agent || found.labels[TENANT_LABEL] !== tenant)
      throw new StepFailure(
        'conflict',
        `The network ${network.name} does not belong to tenant ${tenant} of this agent, so Berth leaves it alone.`,
      );
    try {
      await docker.removeNetwork(found.id, { signal });
    } finally {
      networks.invalidate();
    }
  }
  await base.forgetBridge(network.bridge);
  return undefined;
}

function bodyOf(agent: string, network: TenantNetwork): Record<string, unknown> {
  return {
    Name: network.name,
    CheckDuplicate: true,
    Driver: 'bridge',
    EnableIPv6: false,
    IPAM: { Driver: 'default', Config: [{ Subnet: network.subnet, Gateway: network.gateway }] },
    Options: {
      'com.docker.network.bridge.name': network.bridge,
      'com.docker.network.bridge.enable_icc': 'true',
      'com.docker.network.bridge.enable_ip_masquerade': 'true',
    },
    Labels: { [AGENT_LABEL]: agent, [TENANT_LABEL]: network.tenant },
  };
}

function isSame(agent: string, tenant: string, wanted: TenantNetwork, found: NetworkDetails): boolean {
  return (
    found.labels[AGENT_LABEL] === agent &&
    found.labels[TENANT_LABEL] === tenant &&
    found.driver === 'bridge' &&
    found.subnet === wanted.subnet &&
    found.bridge === wanted.bridge
  );
}

/** The name reaches nft and `ip`; the subnet decides which rules hold for it. */
function assertWithinRange(deps: ExecuteDeps, network: TenantNetwork): void {
  const { bridgePrefix, tenantCidr } = deps.system.config;
  const subnet = parseCidr(network.subnet);
  const range = parseCidr(tenantCidr);
  const nameIsOurs = network.bridge.startsWith(bridgePrefix) && /^[a-zA-Z0-9_.-]{1,15}$/.test(network.bridge);
  const inside =
    subnet !== null &&
    range !== null &&
    subnet.prefix >= range.prefix &&
    contains(tenantCidr, network.subnet.split('/')[0] ?? '');
  if (nameIsOurs && inside && contains(network.subnet, network.gateway)) return;
  throw new StepFailure(
    'conflict',
    `The network ${network.subnet} on ${network.bridge} is not within this agent's range ${tenantCidr} and prefix ${bridgePrefix}.`,
  );
}
