import { createHash } from 'node:crypto';

/** Passes bytes on, and knows how many there were and their SHA-256. */
export class Measure {
  bytes = 0;
  readonly #hash = createHash('sha256');
  readonly #told: (bytes: number) => void;

  constructor(told: (bytes: number) => void = () => undefined) {
    this.#told = told;
  }

  add(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#hash.update(chunk);
    this.#told(this.bytes);
  }

  async *of(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of body) {
      this.add(chunk);
      yield chunk;
    }
  }

  /** Once, at the end. */
  sha256(): string {
    return this.#hash.digest('hex');
  }
}
