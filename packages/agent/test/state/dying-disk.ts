import type { Disk } from '../../src/state/disk.ts';

/** What a process sees of its own death. */
export class Died extends Error {}

type NameChange = { kind: 'made' | 'removed'; path: string } | { kind: 'moved'; from: string; to: string };

/**
 * A disk in memory that dies at a chosen step, in the middle of a write if it is one. `afterKill` is what the next
 * process finds when only the process died; `afterPowerLoss` when names that were not synced are lost as well.
 */
export class DyingDisk implements Disk {
  readonly #files: Map<string, string>;
  readonly #unsynced: NameChange[] = [];
  readonly #before: Map<string, string>;
  steps = 0;
  syncs = 0;
  diesAt = Infinity;
  /** How much of a write that is cut off arrives, 0 to 1. */
  torn = 0.5;
  /** Thrown by every write while set. */
  failure: Error | null = null;

  constructor(files: ReadonlyMap<string, string> = new Map()) {
    this.#files = new Map(files);
    this.#before = new Map(files);
  }

  afterKill(): Map<string, string> {
    return new Map(this.#files);
  }

  /** Keeps the first `kept` of the changes of names that nobody waited for, as a journal would. */
  afterPowerLoss(kept: number): Map<string, string> {
    const names = new Map(this.#before);
    for (const change of this.#unsynced.slice(0, kept)) apply(names, change);
    // The content of every file that is still named is on the disk: `write` waits for it.
    const origin = new Map<string, string>();
    for (const change of this.#unsynced) if (change.kind === 'moved') origin.set(change.from, change.to);
    return new Map(
      [...names.keys()].map((path) => {
        const now = this.#files.get(path) ?? this.#files.get(origin.get(path) ?? '') ?? names.get(path);
        return [path, now ?? ''];
      }),
    );
  }

  set(path: string, text: string): void {
    this.#files.set(path, text);
  }

  async makeDirectory(): Promise<void> {}

  async list(path: string): Promise<string[]> {
    const prefix = `${path}/`;
    return [...this.#files.keys()].flatMap((name) =>
      name.startsWith(prefix) && !name.slice(prefix.length).includes('/') ? [name.slice(prefix.length)] : [],
    );
  }

  async read(path: string): Promise<string | null> {
    return this.#files.get(path) ?? null;
  }

  async write(path: string, text: string): Promise<void> {
    if (!this.#files.has(path)) this.#unsynced.push({ kind: 'made', path });
    this.#step(() => this.#files.set(path, text.slice(0, Math.floor(text.length * this.torn))));
    this.syncs += 1;
    this.#files.set(path, text);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step();
    const change: NameChange = { kind: 'moved', from, to };
    this.#unsynced.push(change);
    apply(this.#files, change);
  }

  async remove(path: string): Promise<void> {
    this.#step();
    this.#unsynced.push({ kind: 'removed', path });
    this.#files.delete(path);
  }

  async syncDirectory(): Promise<void> {
    this.#step();
    this.syncs += 1;
    this.#unsynced.length = 0;
    this.#before.clear();
    for (const [path, text] of this.#files) this.#before.set(path, text);
  }

  #step(die: () => void = () => undefined): void {
    if (this.failure !== null) throw this.failure;
    this.steps += 1;
    if (this.steps < this.diesAt) return;
    if (this.steps === this.diesAt) die();
    throw new Died('the machine is off');
  }
}

function apply(files: Map<string, string>, change: NameChange): void {
  switch (change.kind) {
    case 'made':
      if (!files.has(change.path)) files.set(change.path, '');
      break;
    case 'removed':
      files.delete(change.path);
      break;
    case 'moved': {
      const text = files.get(change.from);
      files.delete(change.from);
      if (text !== undefined) files.set(change.to, text);
      break;
    }
  }
}
