import { BerthError } from '@berth/shared/domain/errors';
import type { SecretPlace } from '@berth/shared/domain/secret';
import type { SecretsWant } from '@berth/shared/protocol/messages';

/** What this host lacks and the coordinator has. */
export interface Wants {
  /** Asks for these now, and again with each new connection until they are here. */
  add(places: readonly SecretPlace[]): void;
  /** Resolves when all of them came. Errors: `secret_unavailable` with the coordinator's reason, or that it does not answer. */
  wait(places: readonly SecretPlace[], timeoutMs: number, signal: AbortSignal): Promise<void>;
  has(place: SecretPlace): boolean;
  came(place: SecretPlace): void;
  refused(place: SecretPlace, message: string): void;
  /** Nobody needs a tenant's any more. */
  forget(tenant: string): void;
  /** What is missing, as messages. */
  messages(): SecretsWant[];
  onWanting(listener: () => void): () => void;
}

interface Want {
  place: SecretPlace;
  waiting: Set<(refusal: string | null) => void>;
}

const PER_MESSAGE = 100;
/** A connection that is just being made may still bring them. */
const ALONE_MS = 2_000;

/** The coordinator's own words often name the secret already; once is enough. */
function sentenceOf({ name, version, tenant }: SecretPlace, why: string): string {
  const what = `The secret ${name} (version ${version}) of tenant ${tenant}`;
  return why.startsWith(what) ? why : `${what} is not to be had: ${why}`;
}

export function createWants(): Wants {
  const open = new Map<string, Want>();
  const listeners = new Set<() => void>();
  const keyOf = ({ tenant, name, version, id }: SecretPlace): string =>
    JSON.stringify([tenant, name, version, id]);

  function end(place: SecretPlace, refusal: string | null): void {
    const want = open.get(keyOf(place));
    if (want === undefined) return;
    open.delete(keyOf(place));
    for (const each of want.waiting) each(refusal);
  }

  function add(places: readonly SecretPlace[]): void {
    for (const place of places) {
      const key = keyOf(place);
      if (!open.has(key)) open.set(key, { place, waiting: new Set() });
    }
    if (places.length > 0) for (const listener of listeners) listener();
  }

  return {
    add,
    async wait(places, timeoutMs, signal) {
      const waits = places.map((place) => {
        const { promise, resolve } = Promise.withResolvers<string | null>();
        const key = keyOf(place);
        const want = open.get(key) ?? { place, waiting: new Set() };
        open.set(key, want);
        want.waiting.add(resolve);
        return { place, promise, want, resolve };
      });
      add(places);
      const late = Promise.withResolvers<'late'>();
      // While nobody is there to be asked, a long wait would only keep others from working.
      const patience = listeners.size > 0 ? timeoutMs : Math.min(timeoutMs, ALONE_MS);
      const timer = setTimeout(() => late.resolve('late'), patience);
      const abort = (): void => late.resolve('late');
      signal.addEventListener('abort', abort, { once: true });
      try {
        for (const { place, promise } of waits) {
          const came = await Promise.race([promise, late.promise]);
          if (came === null) continue;
          const why =
            came === 'late'
              ? 'this host does not have it yet, and the coordinator has not answered; it comes when they are connected'
              : came;
          throw new BerthError('secret_unavailable', sentenceOf(place, why), {
            details: { tenant: place.tenant, secret: place.name, version: place.version },
          });
        }
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        for (const { want, resolve } of waits) want.waiting.delete(resolve);
      }
    },
    has: (place) => open.has(keyOf(place)),
    came: (place) => end(place, null),
    refused: (place, message) => end(place, message),
    forget(tenant) {
      for (const [key, { place }] of open) if (place.tenant === tenant) open.delete(key);
    },
    messages() {
      const places = [...open.values()].map(({ place: { tenant, name, version, id } }) => ({
        tenant,
        name,
        version,
        id,
      }));
      const messages: SecretsWant[] = [];
      for (let at = 0; at < places.length; at += PER_MESSAGE)
        messages.push({ type: 'secrets.want', want: places.slice(at, at + PER_MESSAGE) });
      return messages;
    },
    onWanting(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
