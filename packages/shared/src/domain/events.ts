/**
 * What can happen, by name. `tenant.live` is the moment a deploy is over for whoever waits for it: the new generation
 * was verified and serves; `tenant.settled` comes when its bake time has passed as well.
 */
export const TENANT_EVENTS = [
  'tenant.created',
  'tenant.changed',
  'tenant.step', // details: { step: StepKind, state: 'started' | 'done' | 'failed', ms, title? }; a short step has no 'started'
  'tenant.live',
  'tenant.settled',
  'tenant.blocked', // cannot go on now, tried again by itself; details.problem
  'tenant.failed', // this generation is given up; details.problem
  'tenant.returned', // failed after the switch and went back; details.problem
  'tenant.healed', // a container that had gone was brought back
  'tenant.paused',
  'tenant.removed',
] as const;
export type TenantEventKind = (typeof TENANT_EVENTS)[number];

export const HOST_EVENTS = [
  'host.enrolled',
  'host.enrolment_refused', // details: { instance, other }: the two that do not go together
  'host.clone_refused', // details: { instance, other, host }: one key on two instances, or two keys on one
  'host.reenrol_opened', // an operator lets the instance of a host bind a new key; details: { instance, until }
  'host.reenrolled', // it has done so
  'host.removed', // an admin removed it: it may not connect any more
  'host.online',
  'host.offline',
  'host.superseded', // two agents came with the same identity; the newer session won
  'host.ahead', // it alone knows more than the coordinator; it is held until an operator confirms
  'host.probed', // its isolation was probed; details: { held, open, other } count what came of it
  'host.rules_restored', // somebody flushed the nft tables; they were put back
  'host.nginx_restarted',
  'host.signers_pinned', // whose releases its pool runs has come, or was changed by who may; details: { pool, version, required }
  'host.signers_refused', // the coordinator sent something else than a key of the host's allows; details: { why }
  'host.secrets_unavailable', // what cannot be opened, by name
  'host.docker_down',
  'host.docker_up',
  'host.state_quarantined', // a state file was unreadable; set aside and rebuilt
  'host.counts_incomplete', // some requests were not counted: there was no room to write them down; details.lost, at most
  'host.orphan', // a tenant runs here that nobody desires; left alone
] as const;
export type HostEventKind = (typeof HOST_EVENTS)[number];

export const COORDINATOR_EVENTS = [
  'app.applied',
  'pool.signers', // whose releases a pool runs was set; details: { pool, version, required }
  'token.exchanged', // a CI job proved who it is and may deploy; details: { repository, ref, run }
  'coordinator.epoch', // a new epoch began in observe-only mode, or was confirmed
] as const;
export type CoordinatorEventKind = (typeof COORDINATOR_EVENTS)[number];

/** All with details: { rollout }. */
export const ROLLOUT_EVENTS = [
  'rollout.created',
  'rollout.state', // details: { state } as in RolloutState
  'rollout.wave', // details: { wave, state } as in WaveState
  'rollout.tenant', // details: { wave, progress } as in TenantProgress
] as const;
export type RolloutEventKind = (typeof ROLLOUT_EVENTS)[number];

/** Told by the coordinator alone, though they are of a tenant or a host: no agent's word makes one. */
const COORDINATORS_OWN: ReadonlySet<string> = new Set<TenantEventKind | HostEventKind>([
  'tenant.created',
  'tenant.changed',
  'tenant.removed',
  'host.enrolled',
  'host.enrolment_refused',
  'host.clone_refused',
  'host.reenrol_opened',
  'host.reenrolled',
  'host.removed',
  'host.online',
  'host.offline',
  'host.superseded',
  'host.ahead',
  'host.probed',
]);

/** Whether an agent may tell an event of this kind, also one that only a newer agent knows. */
export function isAgentsToTell(kind: string): boolean {
  return /^(tenant|host)\.[a-z_]{1,40}$/.test(kind) && !COORDINATORS_OWN.has(kind);
}

export type EventKind = TenantEventKind | HostEventKind | CoordinatorEventKind | RolloutEventKind;
