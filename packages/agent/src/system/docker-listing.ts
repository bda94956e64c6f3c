import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { entryOf, type ListEntry } from './docker-types.ts';
import { JsonList } from './json-list.ts';

/**
 * The container list of one label value, asked for again and again. An entry that Docker writes as it wrote it the last
 * time is not read again: its value is the same object.
 */
export class Listing<T> {
  readonly label: string;
  readonly #list: JsonList<{ id: string; value: T } | null>;

  constructor(label: string, valueOf: (entry: ListEntry) => T) {
    this.label = label;
    this.#list = new JsonList(
      (element) => {
        const entry = entryOf(element);
        return entry === null ? null : { id: entry.id, value: valueOf(entry) };
      },
      (known) => known?.id ?? null,
    );
  }

  /** Throws `docker_unavailable` when it is no list. */
  read(bytes: Buffer): T[] {
    try {
      return this.#list.read(bytes).flatMap((known) => (known === null ? [] : [known.value]));
    } catch (cause) {
      throw new BerthError(
        'docker_unavailable',
        `Docker answered something else than it was asked for: ${messageOf(cause).slice(0, 300)}`,
        { cause },
      );
    }
  }
}
