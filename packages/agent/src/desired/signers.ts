import { messageOf } from '@berth/shared/domain/errors';
import { keyHint } from '@berth/shared/domain/signature';
import {
  judgeSigners,
  keysOf,
  standingOf,
  type SignedSigners,
  type SignersRefusal,
} from '@berth/shared/domain/signers';
import type { Signers, SignersAck, SignersFacts } from '@berth/shared/protocol/messages';
import type { Log } from '../state/ports.ts';
import type { SignersStore } from '../state/signers.ts';
import { createVet, type ReleaseRules, type Vet } from './vet.ts';

export interface SignersRoom {
  /** Why this host must not run an entry, by what holds now. */
  vet: Vet;
  /** What the hello says of it. */
  facts(): SignersFacts;
  receive(message: Signers): Promise<SignersAck>;
}

export interface SignersOptions {
  /** The host's own configuration: where it requires signatures it alone decides, unless it says that the pool does. */
  rules: ReleaseRules;
  /** The pool that the host knows to be in; null where only the coordinator knows. */
  pool: string | null;
  store: SignersStore;
  log: Log;
  pinned(statement: SignedSigners, message: string): void;
  refused(why: SignersRefusal['why'], message: string): void;
  /** What may run here is looked at anew. */
  changed(): void;
}

/** Whose releases run here: the host's own configuration, or else the statement of its pool that it has pinned. */
export function createSigners({ rules, pool, store, log, ...tell }: SignersOptions): SignersRoom {
  const anchors = keysOf(rules.keys);
  const ownGoesFirst = rules.requireSignature && rules.decides !== 'pool';
  let refusal: SignersRefusal | null = null;
  let vet = createVet(inForce());

  function inForce(): ReleaseRules {
    const pinned = store.current()?.signers;
    if (ownGoesFirst || pinned === undefined) return rules;
    return { requireSignature: pinned.required, keys: pinned.keys };
  }

  function facts(): SignersFacts {
    const pinned = store.current();
    const { requireSignature, keys } = inForce();
    return {
      poolSigners: pinned === null ? 'none' : standingOf(pinned),
      ...(requireSignature
        ? {
            releaseSigners: keys
              .map((each) => each.name)
              .join(', ')
              .slice(0, 200),
            releaseKeys: keys.map((each) => keyHint(each.publicKey)).join(','),
            releaseRule: ownGoesFirst || pinned === null ? 'host' : 'pool',
          }
        : {}),
      ...(refusal === null ? {} : { signersRefused: refusal.message.slice(0, 200) }),
    };
  }

  async function pin(statement: SignedSigners): Promise<void> {
    try {
      await store.pin(statement);
    } catch (thrown) {
      // It is obeyed all the same; only a restart before the disk is well again would forget it.
      log.error({ err: thrown }, messageOf(thrown));
    }
    vet = createVet(inForce());
    tell.pinned(statement, wordsOf(statement, ownGoesFirst));
    tell.changed();
  }

  return {
    vet: (entry) => vet?.(entry) ?? null,
    facts,
    async receive({ chain }) {
      const before = store.current();
      const verdict = judgeSigners(before, chain, { anchors, pool });
      const { inForce: next } = verdict;
      if (next !== null && next !== before) await pin(next);
      const said = refusal?.message;
      refusal = verdict.refusal;
      if (refusal !== null && refusal.message !== said) tell.refused(refusal.why, refusal.message);
      return { type: 'signers.ack', facts: facts() };
    },
  };
}

function wordsOf(
  { signers: { pool, version, required, keys } }: SignedSigners,
  ownGoesFirst: boolean,
): string {
  const names = keys.map((each) => each.name).join(', ');
  const said = required ? `only releases that are signed by ${names} run` : 'no signature is required';
  const own = ownGoesFirst ? " This host's own configuration goes before it." : '';
  return `Version ${version} of pool ${pool}'s signers is pinned: ${said}, and only ${names} may say otherwise.${own}`;
}
