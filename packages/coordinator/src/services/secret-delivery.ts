import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { SecretPlace } from '@berth/shared/domain/secret';
import type { Secrets } from '@berth/shared/protocol/messages';
import { SEALING_FACT, sealingKeyOf, sealToHost } from '@berth/shared/secrets/sealed';
import type { Log, SecretDelivery } from './fleet-types.ts';
import { refsOf } from './secret-refs.ts';
import type { Store } from './store.ts';
import type { Vault } from './vault.ts';

type Given = Secrets['secrets'][number];

/** Far below the largest frame. */
const PER_MESSAGE_BYTES = 400_000;
const KEY_TRIES = 10;
const KEY_PAUSE_MS = 100;

export function createSecretDelivery(deps: {
  store: Pick<Store, 'host' | 'desiredTenant' | 'secret'>;
  vault: Vault;
  log: Log;
  /** Waits that long, in milliseconds. */
  pause?: (ms: number) => Promise<void>;
}): SecretDelivery {
  const { store, vault, log } = deps;
  const pause = deps.pause ?? ((ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms)));

  /** What a hello says is written down a moment later; a host may ask before. */
  async function keyOf(hostId: string): Promise<Buffer | null> {
    for (let left = KEY_TRIES; ; left -= 1) {
      const host = await store.host(hostId);
      const key = host === null ? null : sealingKeyOf(host.facts[SEALING_FACT], hostId, host.publicKey);
      if (key !== null || left <= 1) return key;
      await pause(KEY_PAUSE_MS);
    }
  }

  async function sealedFor(hostId: string, key: Buffer, place: SecretPlace): Promise<string> {
    const record = await store.secret(place);
    if (record?.content.kind !== 'sealed')
      throw new BerthError(
        'not_found',
        `The coordinator does not have version ${place.version} of it any more; change the tenant, and it takes the newest.`,
      );
    const value = await vault.open(place, record.content.sealed);
    try {
      return sealToHost(key, hostId, place, value);
    } finally {
      value.fill(0);
    }
  }

  return async (hostId, want) => {
    const key = await keyOf(hostId);
    const allowed = new Map<string, ReadonlySet<string>>();
    const answers: Given[] = [];
    for (const place of want) {
      let ids = allowed.get(place.tenant);
      if (ids === undefined) {
        const desired = await store.desiredTenant(hostId, place.tenant);
        ids = new Set(desired === null ? [] : refsOf(desired.spec).map(textOf));
        allowed.set(place.tenant, ids);
      }
      const refuse = (message: string): Given => ({
        ...place,
        given: { kind: 'refused', message: message.slice(0, 1000) },
      });
      if (key === null) {
        answers.push(
          refuse(
            'The coordinator knows no key of this host to seal it to; it comes with the next connection.',
          ),
        );
        continue;
      }
      if (!ids.has(textOf(place))) {
        log.warn(
          { host: hostId, tenant: place.tenant, secret: place.name },
          'A host asked for a secret that nothing desired on it refers to; it was not given.',
        );
        answers.push(refuse('Nothing that is desired on this host refers to it.'));
        continue;
      }
      try {
        answers.push({ ...place, given: { kind: 'sealed', box: await sealedFor(hostId, key, place) } });
      } catch (thrown) {
        if (!(thrown instanceof BerthError)) throw thrown;
        log.error({ host: hostId, tenant: place.tenant, secret: place.name }, messageOf(thrown));
        answers.push(refuse(thrown.message));
      }
    }
    return messagesOf(answers);
  };
}

function textOf({ name, version, id }: Pick<SecretPlace, 'name' | 'version' | 'id'>): string {
  return JSON.stringify([name, version, id]);
}

function messagesOf(answers: readonly Given[]): Secrets[] {
  const messages: Secrets[] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const answer of answers) {
    const size = JSON.stringify(answer).length;
    const last = messages.at(-1);
    if (last === undefined || bytes + size > PER_MESSAGE_BYTES || last.secrets.length >= 200) {
      messages.push({ type: 'secrets', secrets: [answer] });
      bytes = size;
    } else {
      last.secrets.push(answer);
      bytes += size;
    }
  }
  return messages;
}
