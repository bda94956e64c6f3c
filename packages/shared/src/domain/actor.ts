/** How a token's holder is kept on record: the id says which token it was, also when two have the same name. */
export function tokenActor(id: string, name: string): string {
  return `token:${id} ${name}`;
}

/**
 * Who did something, for people: a token by its name, a rollout that went on by itself as such. `actor` is as it is kept
 * on record; what is not known here is shown as it is.
 */
export function whoText(actor: string): string {
  const name = /^token:\S+ (.*)$/s.exec(actor)?.[1]?.trim() ?? '';
  if (name !== '') return name;
  const rollout = /^rollout:(\d+)$/.exec(actor)?.[1];
  return rollout === undefined ? actor : `rollout ${rollout} (system)`;
}
