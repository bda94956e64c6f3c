import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { MAX_ANSWER_BYTES } from './docker-dial.ts';
import { entryOf, type ListEntry } from './docker-types.ts';
import { JsonList } from './json-list.ts';

const FIRST_BYTES = 64 * 1024;

/**
 * The container list of one label value, asked for again and again. An entry that Docker writes as it wrote it the last
 * time is not read again: its value is the same object.
 */
export class Listing<T> {
  readonly label: string;
  readonly #list: JsonList<{ id: string; value: T } | null>;
  /** Where the last answer lies, and where the next one will: two megabytes for each look would be garbage otherwise. */
  #last: Buffer = Buffer.alloc(0);
  #spare: Buffer | null = null;

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

  /** Takes in a whole answer. Throws `docker_unavailable` when it is no list, and what breaks the answer off. */
  async read(answer: AsyncIterable<unknown>): Promise<T[]> {
    // Taken while it is written to, so that two answers at once have a place each.
    let room = this.#spare ?? Buffer.allocUnsafeSlow(FIRST_BYTES);
    this.#spare = null;
    let size = 0;
    for await (const chunk of answer) {
      if (!Buffer.isBuffer(chunk)) continue;
      const needed = size + chunk.length;
      if (needed > MAX_ANSWER_BYTES)
        throw new BerthError('internal', `Docker's list is larger than ${MAX_ANSWER_BYTES} bytes.`);
      if (needed > room.length) {
        const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.ceil(room.length * 1.5)));
        room.copy(larger, 0, 0, size);
        room = larger;
      }
      chunk.copy(room, size);
      size = needed;
    }
    const values = this.#values(room.subarray(0, size));
    this.#spare = this.#last;
    this.#last = room;
    return values;
  }

  #values(bytes: Buffer): T[] {
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
