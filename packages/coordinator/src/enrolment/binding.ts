import { utc } from './clock.ts';

/** What is known of an instance and of a key when both come together. */
export interface Meeting {
  instance: string;
  /** The host this instance is already, and whether it is still there. */
  bound: { host: string; presence: 'present' | 'removed'; pool: string; reenrolUntil: number | null } | null;
  /** The host that this key is already, and the instance that one is; null for one that came with a token. */
  keyOf: { host: string; instance: string | null } | null;
  pool: string;
  at: number;
}

export type Binding =
  | { kind: 'new' }
  /** It asks again: the answer was lost. */
  | { kind: 'same'; host: string }
  /** A new key for a host that an operator lets bind one. */
  | { kind: 'rebind'; host: string }
  /** One key on two machines, or two keys on one: somebody copied a disk, or took an identity. */
  | { kind: 'clone'; host: string; other: string; why: string }
  | { kind: 'refused'; host: string; why: string };

/** First use binds an instance to a key; after that, neither goes with another. */
export function bindingFor(meeting: Meeting): Binding {
  const { instance, bound, keyOf, at } = meeting;
  if (keyOf !== null) {
    if (keyOf.instance === instance) return { kind: 'same', host: keyOf.host };
    if (keyOf.instance === null) {
      return {
        kind: 'refused',
        host: keyOf.host,
        why: `the key of ${instance} is that of host ${keyOf.host}, which joined with a token`,
      };
    }
    return {
      kind: 'clone',
      host: keyOf.host,
      other: keyOf.instance,
      why: `${instance} came with the key of host ${keyOf.host}, which is ${keyOf.instance}: its disk is a copy`,
    };
  }
  if (bound === null) return { kind: 'new' };
  if (bound.presence === 'removed') {
    return {
      kind: 'refused',
      host: bound.host,
      why: `${instance} was host ${bound.host}, which an admin removed. Start a new instance, or let it join with a token`,
    };
  }
  if (bound.reenrolUntil === null || at >= bound.reenrolUntil) {
    const over =
      bound.reenrolUntil === null
        ? `If the key was lost, an operator allows a new one: berth host reenrol ${bound.host}`
        : `The time to bind a new one was over at ${utc(bound.reenrolUntil)}: berth host reenrol ${bound.host}`;
    return {
      kind: 'clone',
      host: bound.host,
      other: instance,
      why: `${instance} is host ${bound.host} already, with another key. ${over}`,
    };
  }
  if (bound.pool !== meeting.pool) {
    return {
      kind: 'refused',
      host: bound.host,
      why: `${instance} is host ${bound.host} of pool ${bound.pool}, and asks to join ${meeting.pool}`,
    };
  }
  return { kind: 'rebind', host: bound.host };
}
