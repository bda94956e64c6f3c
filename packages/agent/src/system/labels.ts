import type { ObservedContainer } from '@berth/shared/domain/observed';
import type { ContainerPlan } from '@berth/shared/domain/step';
import { parseAddress } from './cidr.ts';
import { madeOf, type ListEntry } from './docker-types.ts';

export const AGENT_LABEL = 'berth.agent';
export const TENANT_LABEL = 'berth.tenant';
/** The set of secrets that a container was made with. */
export const SECRETS_LABEL = 'berth.secrets';

/** All labels of a container: the service's own first, so that none of them can stand in for one of ours. */
export function labelsOf(agent: string, plan: ContainerPlan): Record<string, string> {
  const labels: Record<string, string> = {
    ...plan.spec.labels,
    [AGENT_LABEL]: agent,
    [TENANT_LABEL]: plan.tenant,
    'berth.app': plan.app,
    'berth.release': String(plan.release),
    'berth.generation': String(plan.generation),
    'berth.service': plan.service,
    'berth.replica': String(plan.replica),
    'berth.role': plan.role,
    'berth.spec': plan.specHash,
    'berth.address': plan.address,
    'berth.grace': String(plan.spec.stopGraceMs),
    'berth.drain': String(plan.spec.drainMs),
  };
  delete labels['berth.virtual'];
  delete labels['berth.command'];
  delete labels['berth.port'];
  delete labels['berth.volumes'];
  delete labels[SECRETS_LABEL];
  if (plan.virtual !== undefined) labels['berth.virtual'] = plan.virtual;
  if (plan.releaseKey !== undefined) labels['berth.command'] = plan.releaseKey;
  if (plan.spec.volumes.length > 0)
    labels['berth.volumes'] = [...new Set(plan.spec.volumes.map((each) => each.volume))].sort().join(' ');
  if (plan.spec.route !== undefined) labels['berth.port'] = String(plan.spec.route.port);
  return labels;
}

/**
 * One list entry as the planner sees it, or null: what does not carry all of our labels, each in the form in which we
 * write it, is not ours and is left alone.
 */
export function containerFrom(
  agent: string,
  entry: ListEntry,
  deaths: (id: string) => number,
): ObservedContainer | null {
  const made = madeOf(entry);
  if (made === null) return null;
  const { labels } = made;
  if (labels[AGENT_LABEL] !== agent) return null;
  const name = made.names[0]?.replace(/^\//, '');
  const state = stateOf(entry.state);
  const role = roleOf(labels['berth.role']);
  const tenant = text(labels[TENANT_LABEL]);
  const app = text(labels['berth.app']);
  const service = text(labels['berth.service']);
  const specHash = text(labels['berth.spec']);
  const address = addressOf(labels['berth.address']);
  const release = whole(labels['berth.release']);
  const generation = whole(labels['berth.generation']);
  const replica = whole(labels['berth.replica']);
  const graceMs = whole(labels['berth.grace']);
  const drainMs = whole(labels['berth.drain']);
  if (name === undefined || state === null || role === null || address === null) return null;
  if (tenant === null || app === null || service === null || specHash === null) return null;
  if (release === null || generation === null || replica === null) return null;
  if (graceMs === null || drainMs === null) return null;
  const virtualLabel = labels['berth.virtual'];
  const virtual = virtualLabel === undefined ? null : addressOf(virtualLabel);
  const port = labels['berth.port'] === undefined ? null : whole(labels['berth.port']);
  if (virtualLabel !== undefined && virtual === null) return null;
  const releaseKey = text(labels['berth.command']);
  const volumes = text(labels['berth.volumes']);
  return {
    id: entry.id,
    name,
    tenant,
    app,
    release,
    generation,
    service,
    replica,
    role,
    specHash,
    ...(releaseKey === null ? {} : { releaseKey }),
    ...(volumes === null ? {} : { volumes: volumes.split(' ') }),
    address,
    virtual,
    port,
    graceMs,
    drainMs,
    state,
    exitCode: exitCodeOf(state, entry.status),
    health: healthOf(entry.status),
    deaths: deaths(entry.id),
  };
}

/** From "Up 3 seconds (healthy)", "Up 1 second (health: starting)". */
export function healthOf(status: string): ObservedContainer['health'] {
  if (!status.endsWith(')')) return 'none';
  if (status.endsWith('(healthy)')) return 'healthy';
  if (status.endsWith('(unhealthy)')) return 'unhealthy';
  if (status.endsWith('(health: starting)')) return 'starting';
  return 'none';
}

/** From "Exited (137) 2 minutes ago". A container that was never started has none. */
export function exitCodeOf(state: ObservedContainer['state'], status: string): number | null {
  if (state !== 'exited' && state !== 'restarting' && state !== 'dead') return null;
  const match = /^(?:Exited|Restarting) \((-?\d+)\)/.exec(status);
  return match?.[1] === undefined ? null : Number(match[1]);
}

function stateOf(value: string): ObservedContainer['state'] | null {
  switch (value) {
    case 'created':
    case 'running':
    case 'restarting':
    case 'paused':
    case 'exited':
    case 'dead':
    case 'removing':
      return value;
    default:
      return null;
  }
}

function roleOf(value: string | undefined): ObservedContainer['role'] | null {
  return value === 'colour' || value === 'keeper' || value === 'release' ? value : null;
}

function text(value: string | undefined): string | null {
  return value === undefined || value === '' ? null : value;
}

function whole(value: string | undefined): number | null {
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : null;
}

function addressOf(value: string | undefined): string | null {
  return value !== undefined && parseAddress(value) !== null ? value : null;
}
