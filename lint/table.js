/**
 * The house, room by room: what each may import besides the packages of npm and Node. A room is a folder below
 * packages/ (or a file of that name); the longest name that fits a file is its room. A room may always import itself.
 *
 * - `imports`: rooms, by the beginning of their path; '*' for all of the same package and shared.
 * - `pure`: no clock, no randomness, no Node, no packages, nothing asynchronous. All of that comes in as arguments.
 */
const agentBase = ['shared', 'agent/state', 'agent/system'];

export const rooms = {
  shared: { imports: [] },
  'shared/domain': { imports: [] },
  'shared/compose': { imports: ['shared/domain'] },
  'shared/protocol': { imports: ['shared/domain'] },

  // main, config, context and whatever else lies beside the rooms joins them.
  agent: { imports: ['*'] },
  'agent/loop': { imports: ['*'] },
  'agent/system': { imports: ['shared'] },
  'agent/state': { imports: ['shared', 'agent/system'] },
  'agent/plan': { imports: ['shared'], pure: true },
  'agent/machine': { imports: ['shared'], pure: true },
  'agent/link': { imports: agentBase },
  'agent/desired': { imports: agentBase },
  'agent/observe': { imports: agentBase },
  'agent/execute': { imports: agentBase },
  'agent/report': { imports: agentBase },
  'agent/traffic': { imports: agentBase },
  'agent/secrets': { imports: agentBase },
  'agent/backup': { imports: ['shared', 'agent/system'] },

  coordinator: { imports: ['*'] },
  'coordinator/system': { imports: ['shared'] },
  'coordinator/rollout': { imports: ['shared'], pure: true },
  'coordinator/enrolment': { imports: ['shared'] },
  'coordinator/services': {
    imports: ['shared', 'coordinator/system', 'coordinator/rollout', 'coordinator/enrolment'],
  },
  'coordinator/services/placement': { imports: ['shared'], pure: true },
  'coordinator/store': { imports: ['shared', 'coordinator/services', 'coordinator/system'] },
  'coordinator/registry': { imports: ['shared', 'coordinator/services', 'coordinator/system'] },
  'coordinator/oidc': { imports: ['shared', 'coordinator/services', 'coordinator/system'] },
  'coordinator/secrets': { imports: ['shared', 'coordinator/services'] },
  'coordinator/postgres': { imports: ['shared', 'coordinator/services'] },
  'coordinator/http': { imports: ['shared', 'coordinator/services', 'coordinator/system'] },
  'coordinator/gateway': { imports: ['shared', 'coordinator/services', 'coordinator/system'] },

  cli: { imports: ['*'] },
  dashboard: { imports: ['*'] },
};

/** `agent/plan/move.ts` for any path of that file, wherever the tree lies; undefined outside packages/<name>/src. */
export function placeOf(path) {
  const found = path.replaceAll('\\', '/').match(/(?:^|\/)packages\/([^/]+)\/src\/(.+)$/);
  return found ? `${found[1]}/${found[2]}` : undefined;
}

/** The name of the room that a place is in. */
export function roomOf(place) {
  return Object.keys(rooms)
    .filter((name) => isIn(place, name))
    .sort((a, b) => b.length - a.length)[0];
}

export function isIn(place, room) {
  return place === `${room}.ts` || place.startsWith(`${room}/`);
}

/** Whether a file in room `from` may import the place `to`. */
export function mayImport(from, to) {
  if (isIn(to, from)) return true;
  const allowed = rooms[from].imports;
  if (allowed.includes('*')) return isIn(to, from.split('/')[0]) || isIn(to, 'shared');
  return allowed.some((room) => isIn(to, room));
}
