/** How a token's holder is kept on record: the id says which token it was, also when two have the same name. */
export function tokenActor(id: string, name: string): string {
  return `token:${id} ${name}`;
}

/** Who did something, in parts. `other`: as it is on record, such as `coordinator` or `join-token`. */
export type Who =
  | { kind: 'token'; id: string; name: string }
  | { kind: 'agent'; host: string }
  | { kind: 'rollout'; rollout: number }
  | { kind: 'other'; actor: string };

/** Reads what is kept on record. */
export function whoOf(actor: string): Who {
  const token = /^token:(\S+)(?: (.*))?$/s.exec(actor);
  if (token !== null) return { kind: 'token', id: token[1] ?? '', name: (token[2] ?? '').trim() };
  const agent = /^agent:(\S+)$/.exec(actor)?.[1];
  if (agent !== undefined) return { kind: 'agent', host: agent };
  const rollout = /^rollout:(\d+)$/.exec(actor)?.[1];
  if (rollout !== undefined) return { kind: 'rollout', rollout: Number(rollout) };
  return { kind: 'other', actor };
}

/**
 * Who did something, for people: a token by its name, a rollout that went on by itself as such. `actor` is as it is kept
 * on record; what is not known here is shown as it is.
 */
export function whoText(actor: string): string {
  const who = whoOf(actor);
  if (who.kind === 'token') return who.name === '' ? actor : who.name;
  if (who.kind === 'rollout') return `rollout ${who.rollout} (system)`;
  return actor;
}
